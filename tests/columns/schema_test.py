"""Schemas as values: JSON."""

import json

from tests import schemas
from tests import testing
from tf_resflow.columns import schema as schema_lib


def test_json_round_trip():
  schema = schemas.make_schema(
      'a', 'b', types=['log', 'heavy:0.1:2.5'], mean=[0.1, 1 / 3],
      std=[1.0, 1e-3], whitening=[1.0, 0.5, 1.0],
      conditions=[('c', ['u', 'v'])])
  text = json.dumps(schema.to_json_object())
  assert schema_lib.Schema.of(json.loads(text)) == schema
  assert schema_lib.Schema.of(None) is None
  testing.check_refusals(lambda column: schema_lib.Column(**column), [
      ({'role': 'x'}, 'role=x: expected modelled, condition, group, weight, '
       'unused.'),
      ({'type': 'logg'}, 'column_types=logg: expected one of real, ')])
