"""Configurations of vector flows: one clear line per mistake."""

import dataclasses

from tests import schemas
from tests import testing
from tf_resflow import models


def test_schemas_of_other_sizes():
  testing.check_refusals(lambda values: models.VectorFlowConfig(**values), [
      ({'schema': schemas.make_schema('a')},
       'event_size=2: expected the number of modelled columns in the schema'),
      ({'schema': schemas.make_schema('a', 'b', conditions=['c'])},
       'condition_size=0: expected the number of coordinates of conditions in')
  ])


def test_what_makes_another_function():
  config = models.VectorFlowConfig(condition_size=1)
  other = dataclasses.replace(
      config, schema=schemas.make_schema('a', 'b', conditions=['c']),
      data_fingerprint='0', estimator='fixed:8', seed=5, memory='neumann')
  same = dataclasses.replace(config, schema=schemas.make_schema(
      types=['real'] * 2, conditions=['']))
  assert same.function_differences(other) == {}
  assert same.function_differences(dataclasses.replace(
      other, schema=schemas.make_schema(
          types=['log', 'real'], conditions=['']))).keys() == {'schema'}
