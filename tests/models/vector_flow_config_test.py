"""Configurations of vector flows: one clear line per mistake."""

import pytest

from tests import testing
from tf_resflow import models

_VECTOR_ERRORS = [
    (dict(column_mean=(0.0,), column_std=(1.0,)), 'column_mean=0.0: expected '),
    (dict(column_mean=(0.0, 1.0)), 'column_std=: expected as many numbers as '
     'column_mean has.'),
    (dict(column_names=('a',)), 'column_names=a: expected 2 values'),
]


@pytest.mark.parametrize('values, message', _VECTOR_ERRORS)
def test_errors(values, message):
  testing.check_refusal(models.VectorFlowConfig, values, message)
