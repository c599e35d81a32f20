"""Configurations of vector flows: one clear line per mistake."""

import dataclasses

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


def test_what_makes_another_function():
  config = models.VectorFlowConfig(condition_size=1)
  other = dataclasses.replace(
      config, column_names=('a', 'b'), condition_names=('c',),
      condition_places=(2,), data_fingerprint='0', estimator='fixed:8', seed=5,
      memory='neumann')
  assert config.function_differences(other) == {}
  assert config.function_differences(
      dataclasses.replace(other, whitening=(1.0, 0.5, 1.0),
                          column_mean=(0.0, 1.0), column_std=(1.0, 1.0))
  ).keys() == {'whitening', 'column_mean', 'column_std'}
