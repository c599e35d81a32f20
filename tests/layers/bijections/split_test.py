"""Split: what leaves, what goes on, and in which order."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow import errors
from tf_resflow import layers


def inputs(channels):
  return tf.random.stateless_normal([3, 2, 2, channels], [0, 1])


@loops.each([(4, 2), (5, 2), (2, 1)])
def test_the_last_channels_leave_first(channels, kept):
  split = layers.Split(layers.Standardize([1.0] * kept, [2.0] * kept))
  x = inputs(channels)
  y, log_det = split.forward_and_log_det(x)
  rest = (x[..., :kept] - 1.0) / 2.0
  expected = tf.concat([
      tf.reshape(x[..., kept:], [3, -1]), tf.reshape(rest, [3, -1])], axis=1)
  np.testing.assert_allclose(y, expected, rtol=1e-6)
  np.testing.assert_allclose(
      log_det, np.full(3, -4 * kept * np.log(2.0)), rtol=1e-6)
  np.testing.assert_allclose(split.inverse(y), x, atol=1e-6)
  assert split.compute_output_shape((None, 2, 2, channels)) == (
      None, 4 * channels)


def test_what_leaves_has_slope_one():
  split = layers.Split(layers.Standardize([1.0], [2.0]))
  assert split.slope_bounds() == (0.5, 1.0, None, 'construction')


@loops.each([0, 1, 2])
def test_features_are_what_leaves(num_taps):
  split = layers.Split(layers.FeatureTap(), num_taps)
  x = inputs(4)
  features = split.transform(x).features
  assert len(features) == num_taps + 1
  for feature in features[:-1]:
    np.testing.assert_array_equal(feature, x[..., 2:])
  np.testing.assert_array_equal(features[-1], x[..., :2])


def test_refuses_a_single_channel():
  with pytest.raises(errors.InvalidValueError, match='2 channels or more'):
    layers.Split(layers.ActNorm()).build((None, 2, 2, 1))
