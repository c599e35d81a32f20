"""Squeeze, Logit and Standardize against explicit formulas."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tf_resflow import layers


@pytest.mark.parametrize('factor, shape', [
    (2, (4, 6, 3)), (3, (3, 6, 2)), (2, (2, 2, 1))])
def test_squeeze_orders_channel_row_column(factor, shape):
  rng = np.random.default_rng(0)
  x = rng.normal(size=[2, *shape])
  height, width, channels = shape
  r = factor
  expected = np.zeros([2, height // r, width // r, channels * r * r])
  for i in range(height // r):
    for j in range(width // r):
      for c in range(channels):
        for a in range(r):
          for b in range(r):
            expected[:, i, j, c * r * r + a * r + b] = (
                x[:, i * r + a, j * r + b, c])
  layer = layers.Squeeze(factor, dtype='float64')
  y, log_det = layer.forward_and_log_det(tf.constant(x))
  np.testing.assert_array_equal(y, expected)
  np.testing.assert_array_equal(log_det, [0.0, 0.0])
  assert layer.compute_output_shape((2, *shape)) == y.shape
  np.testing.assert_array_equal(layer.inverse(y), x)


def test_squeeze_is_not_space_to_depth():
  x = tf.reshape(tf.range(24.0), [1, 2, 4, 3])
  theirs = tf.nn.space_to_depth(x, 2)
  ours = layers.Squeeze()(x)
  assert not np.array_equal(ours, theirs)
  # The same channels in another order.
  np.testing.assert_array_equal(
      ours, tf.reshape(
          tf.transpose(tf.reshape(theirs, [1, 1, 2, 4, 3]), [0, 1, 2, 4, 3]),
          ours.shape))
  one_channel = x[..., :1]
  np.testing.assert_array_equal(
      layers.Squeeze()(one_channel), tf.nn.space_to_depth(one_channel, 2))


def test_squeeze_refuses_odd_sizes():
  with pytest.raises(ValueError, match='3 x 4; both must be divisible by 2'):
    layers.Squeeze().build((None, 3, 4, 1))


@pytest.mark.parametrize('alpha', [0.05, 1e-6])
def test_logit_equals_the_bijectors_of_tfp(alpha):
  rng = np.random.default_rng(0)
  x = tf.constant(rng.uniform(size=[4, 3, 2]))
  scale = tf.constant(1.0 - 2.0 * alpha, tf.float64)
  theirs = tfb.Chain([
      tfb.Invert(tfb.Sigmoid()),
      tfb.Shift(tf.constant(alpha, tf.float64)), tfb.Scale(scale)])
  y, log_det = layers.Logit(alpha, dtype='float64').forward_and_log_det(x)
  np.testing.assert_allclose(y, theirs.forward(x), atol=1e-12)
  np.testing.assert_allclose(
      log_det, theirs.forward_log_det_jacobian(x, event_ndims=2), atol=1e-11)


@pytest.mark.parametrize('alpha', [0.05, 1e-6])
def test_logit_is_finite_and_symmetric_at_the_ends(alpha):
  layer = layers.Logit(alpha)
  x = tf.constant([[0.0], [1.0]])
  y, log_det = layer.forward_and_log_det(x)
  expected = np.log(alpha / (1.0 - alpha))
  np.testing.assert_allclose(y[:, 0], [expected, -expected], rtol=1e-5)
  np.testing.assert_allclose(log_det[0], log_det[1], rtol=1e-6)
  np.testing.assert_allclose(layer.inverse(y), x, atol=1e-6)


@pytest.mark.parametrize('alpha', [0.0, 0.5, -0.1])
def test_logit_refuses_alpha(alpha):
  with pytest.raises(ValueError, match=f'alpha is {alpha}; it must lie'):
    layers.Logit(alpha)


def test_standardize():
  mean, std = np.array([0.4, 0.6]), np.array([0.2, 0.5])
  rng = np.random.default_rng(0)
  x = rng.uniform(size=[3, 4, 5, 2])
  layer = layers.Standardize(mean.tolist(), std.tolist(), dtype='float64')
  y, log_det = layer.forward_and_log_det(tf.constant(x))
  np.testing.assert_allclose(y, (x - mean) / std, rtol=1e-12)
  np.testing.assert_allclose(
      log_det, np.full([3], -20 * np.log(std).sum()), rtol=1e-12)


@pytest.mark.parametrize('mean, std', [
    ([], []), ([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5], [-1.0])])
def test_standardize_refuses_statistics(mean, std):
  with pytest.raises(ValueError, match='one number per channel each'):
    layers.Standardize(mean, std)


def test_standardize_refuses_other_channels():
  with pytest.raises(ValueError, match='got 3 channels, but mean and std'):
    layers.Standardize([0.5, 0.5], [1.0, 1.0]).build((None, 4, 4, 3))
