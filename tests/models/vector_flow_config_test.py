"""Configurations of vector flows: one clear line per mistake."""

import pytest

from tests import testing
from tf_resflow import models

_VECTOR_ERRORS = [
    (dict(event_size=0), 'event_size=0: expected a whole number from 1.'),
    (dict(num_blocks=0), 'num_blocks=0: expected a whole number from 1.'),
    (dict(hidden_units=(4, 0)), 'hidden_units=4,0: expected whole numbers fro'),
    (dict(hidden_units=64), 'hidden_units=64: expected whole numbers from 1, '),
]


@pytest.mark.parametrize('values, message', _VECTOR_ERRORS)
def test_errors(values, message):
  testing.check_refusal(models.VectorFlowConfig, values, message)
