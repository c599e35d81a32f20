"""Configurations of vector flows: one clear line per mistake."""

import pytest

from tf_resflow import errors
from tf_resflow import models

_VECTOR_ERRORS = [
    (dict(event_size=0), 'event_size=0: expected a whole number from 1.'),
    (dict(num_blocks=0), 'num_blocks=0: expected a whole number from 1.'),
    (dict(hidden_units=(4, 0)), 'hidden_units=4,0: expected whole numbers fro'),
    (dict(hidden_units=64), 'hidden_units=64: expected whole numbers from 1, '),
]


def check(config_class, values, message):
  with pytest.raises(errors.InvalidValueError) as error:
    config_class(**values)
  assert str(error.value).startswith(message)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('values, message', _VECTOR_ERRORS)
def test_errors(values, message):
  check(models.VectorFlowConfig, values, message)
