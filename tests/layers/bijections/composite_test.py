"""Compositions: properties that follow from parts, inverses, splits."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import networks
from tf_resflow import errors
from tf_resflow import layers


class Backwards(layers.CompositeBijection):
  """A bijection of the reversed numbers of vectors."""

  def __init__(self, inner):
    super().__init__(dtype=inner.compute_dtype)
    self.inner = inner

  @property
  def parts(self):
    return [self.inner]

  def with_parts(self, parts):
    return Backwards(*parts)

  def build(self, input_shape):
    self.inner.build(input_shape)

  def forward_pass(self, x, settings):
    return self.inner.forward_pass(x[:, ::-1], settings)

  def inverse_pass(self, y, settings):
    result = self.inner.inverse_pass(y, settings)
    return result._replace(value=result.value[:, ::-1])


def test_what_follows_from_parts():
  blocks = [layers.ResidualBlock(networks.dense_g('float64')) for _ in range(2)]
  backwards = Backwards(layers.SequentialBijection([
      blocks[0], layers.ActNorm(dtype='float64'), blocks[1]]))
  x = tf.random.stateless_normal([4, 3], [0, 0], dtype=tf.float64)
  assert not backwards.built
  y, log_det = backwards.forward_and_log_det(x, seed=1)
  assert backwards.is_random and not backwards.has_moving_statistics
  assert backwards.condition_spec is None and backwards.is_initialized
  assert backwards.leaves() == backwards.inner.parts
  assert len(backwards.constrained_layers()) == 2 * len(
      blocks[0].constrained_layers())
  assert backwards.estimators() == [block.estimator for block in blocks]
  assert blocks[0].function is blocks[1].function
  x_again, inverse_log_det = backwards.inverse_and_log_det(y, seed=1)
  np.testing.assert_allclose(x_again, x, atol=1e-4)
  np.testing.assert_allclose(inverse_log_det, -log_det, atol=1e-4)
  # Frozen, it keeps what its parts were.
  frozen = backwards.frozen()
  blocks[0].g.trainable_variables[0].assign_add([[1.0]])
  np.testing.assert_allclose(
      frozen.forward_and_log_det(x, seed=1)[1], log_det, rtol=1e-9)
  assert np.abs(backwards(x) - y).max() > 1e-3


def test_shapes_that_change():
  x = tf.random.stateless_normal([2, 4, 4, 1], [0, 0])
  squeeze = layers.Squeeze()
  y = squeeze(x)
  turned = layers.Inverse(squeeze)
  assert turned.compute_output_shape(y.shape) == (2, 4, 4, 1)
  np.testing.assert_array_equal(turned(y), x)
  np.testing.assert_array_equal(turned.inverse(x), y)
  with pytest.raises(errors.InvalidValueError, match=(
      r'input_shape=\(2, 4, 4, 1\): expected events \(2, 2, 4\)')):
    layers.Inverse(squeeze)(x)


def test_refuses_what_batches_set():
  chain = layers.SequentialBijection(
      [layers.ActNorm(), layers.MovingMean(name='mean')])
  with pytest.raises(errors.InvalidValueError, match=(
      'bijection=act_norm.*, mean cannot be used in an Inverse: batches set '
      'its weights. Put it next')):
    layers.Inverse(chain)


def test_slopes_of_an_inverse():
  block = layers.ResidualBlock(networks.dense_g('float64'))
  bound = block.lipschitz_bound
  np.testing.assert_allclose(
      layers.Inverse(block).bi_lipschitz_bounds()[:2],
      [1 / (1 + bound), 1 / (1 - bound)])
  # Of a map whose slopes nobody knows.
  assert layers.Inverse(layers.AffineCoupling(networks.dense_g('float64'))
                        ).bi_lipschitz_bounds()[:2] == (0.0, np.inf)


def images(channels):
  return tf.random.stateless_normal([3, 2, 2, channels], [0, 1])


@loops.each([(4, 2), (5, 2), (2, 1)])
def test_the_last_channels_leave_first(channels, kept):
  split = layers.Split(layers.Standardize([1.0] * kept, [2.0] * kept))
  x = images(channels)
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
  assert split.bi_lipschitz_bounds() == (0.5, 1.0, None, 'construction')


@loops.each([0, 1, 2])
def test_features_are_what_leaves(num_taps):
  split = layers.Split(layers.FeatureTap(), num_taps)
  x = images(4)
  features = split.transform(x).features
  assert len(features) == num_taps + 1
  for feature in features[:-1]:
    np.testing.assert_array_equal(feature, x[..., 2:])
  np.testing.assert_array_equal(features[-1], x[..., :2])


def test_refuses_a_single_channel():
  with pytest.raises(errors.InvalidValueError, match='2 channels or more'):
    layers.Split(layers.ActNorm()).build((None, 2, 2, 1))
