"""Flatten and Squeeze: the order of the numbers; FeatureTap."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow import layers


def test_numbers_keep_their_order():
  x = tf.reshape(tf.range(24.0), [2, 3, 2, 2])
  flatten = layers.Flatten()
  y, log_det = flatten.forward_and_log_det(x)
  np.testing.assert_array_equal(y, np.reshape(x, [2, 12]))
  np.testing.assert_array_equal(log_det, np.zeros(2))
  np.testing.assert_array_equal(flatten.inverse(y), x)
  assert flatten.forward_and_log_det(x[:0])[0].shape == [0, 12]


@loops.each([
    (2, (4, 6, 3)), (3, (3, 6, 2)), (2, (2, 2, 1))])
def test_squeeze_orders_channel_row_column(factor, shape):
  rng = np.random.default_rng(0)
  x = rng.normal(size=[2, *shape])
  height, width, channels = shape
  r = factor
  expected = np.zeros([2, height // r, width // r, channels * r * r])
  for i, j, c in np.ndindex(height, width, channels):
    expected[:, i // r, j // r, (c * r + i % r) * r + j % r] = x[:, i, j, c]
  layer = layers.Squeeze(factor, dtype='float64')
  y, log_det = layer.forward_and_log_det(tf.constant(x))
  np.testing.assert_array_equal(y, expected)
  np.testing.assert_array_equal(log_det, [0.0, 0.0])
  assert layer.compute_output_shape((2, *shape)) == y.shape
  np.testing.assert_array_equal(layer.inverse(y), x)


def test_squeeze_refuses_odd_sizes():
  with pytest.raises(ValueError, match=(
      r'input_shape=\(None, 3, 4, 1\): expected a height and width divisible')):
    layers.Squeeze().build((None, 3, 4, 1))


@loops.each([None, [2, 3]])
def test_features(shape):
  x = tf.reshape(tf.range(12.0), [2, 6])
  result = layers.FeatureTap(shape).transform(x)
  np.testing.assert_array_equal(result.value, x)
  np.testing.assert_array_equal(result.log_det, np.zeros(2))
  (feature,) = result.features
  np.testing.assert_array_equal(feature, np.reshape(x, [2, *(shape or [6])]))
