"""The matrix by which a condition enters a layer."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.layers import condition_matrix


def _matrix():
  layer = condition_matrix.ConditionMatrix(2, dtype='float64')
  layer.add_matrix(3)
  layer.kernel.assign(np.arange(6.0).reshape([2, 3]))
  return layer


def test_multiplies_conditions():
  layer = _matrix()
  np.testing.assert_array_equal(
      layer.project([[1.0, 2.0], [0.0, 1.0]]), [[6, 9, 12], [3, 4, 5]])
  np.testing.assert_array_equal(layer.project([0.0, 1.0]), [[3, 4, 5]])
  assert layer.condition_spec == layers.ConditionSpec((2,))


def test_features_need_not_be_finite():
  """Weights that diverged are not a condition that was wrong."""
  assert np.all(np.isnan(_matrix().project(tf.fill([1, 2], np.nan))))


def test_begins_with_zeros():
  layer = condition_matrix.ConditionMatrix(np.int64(2))
  layer.add_matrix(3)
  np.testing.assert_array_equal(layer.project([1.0, 2.0]), [[0, 0, 0]])


def test_refusals():
  testing.check_refusal(
      condition_matrix.ConditionMatrix, {'condition_size': 0},
      'condition_size=0: expected a number from 1')
  with pytest.raises(errors.InvalidValueError, match='condition=None'):
    _matrix().project(None)
