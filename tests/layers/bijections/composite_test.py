"""Compositions: order, seeds, properties of the parts; inverses, splits."""

import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests import loops
from tests import networks
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics


def inputs():
  return tf.random.stateless_normal([4, 3], [0, 1])


def test_the_first_part_is_applied_first():
  chain = layers.SequentialBijection([
      layers.Standardize([1.0] * 3, [2.0] * 3), layers.Flatten(),
      layers.Standardize([5.0] * 3, [0.5] * 3)])
  y, log_det = chain.forward_and_log_det(inputs())
  np.testing.assert_allclose(y, ((inputs() - 1.0) / 2.0 - 5.0) / 0.5, rtol=1e-5)
  np.testing.assert_allclose(log_det, np.zeros(4), atol=1e-6)
  np.testing.assert_allclose(chain.inverse(y), inputs(), atol=1e-5)
  assert chain.bi_lipschitz_bounds() == (1.0, 1.0, None, 'construction')


def test_every_part_that_draws_has_a_seed_of_its_own():
  """Numbered by order among those, whatever stands between them."""
  blocks = [layers.ResidualBlock(networks.dense_g('float32'))
            for _ in range(2)]
  chain = layers.SequentialBijection(
      [layers.Flatten(), blocks[0], layers.ActNorm(), blocks[1]])
  chain(inputs())
  assert chain.estimators() == [block.estimator for block in blocks]
  assert blocks[0].function is blocks[1].function
  log_det = chain.forward_and_log_det(inputs(), seed=7)[1]
  x, expected = inputs(), 0.0
  for number, part in enumerate((blocks[0], chain.parts[2], blocks[1])):
    seed = numerics.random.fold_in(7, number // 2)
    x, term = part.forward_and_log_det(x, seed=seed)
    expected += term
  np.testing.assert_allclose(log_det, expected, rtol=1e-6)


def test_what_is_said_of_the_parts():
  chain = cases.BIJECTIONS['chain'].make()
  assert chain.is_random and not chain.takes_condition
  assert [type(b).__name__ for b in chain.leaves()] == [
      'Squeeze', 'ActNorm', 'FeatureTap', 'Flatten', 'ResidualBlock', 'ActNorm']
  assert len(chain.constrained_layers()) == 2
  assert not chain.is_initialized
  x = cases.BIJECTIONS['chain'].inputs()
  features = chain.transform(x).features
  # What leaves at the split, then what the tap lets out.
  assert [f.shape for f in features] == [[4, 2, 2, 2]] * 2
  assert chain.is_initialized


def test_the_empty_chain_is_the_identity():
  chain = layers.SequentialBijection([])
  y, log_det = chain.forward_and_log_det(inputs())
  np.testing.assert_array_equal(y, inputs())
  np.testing.assert_array_equal(log_det, np.zeros(4))
  np.testing.assert_array_equal(chain.inverse(y), inputs())


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
  layer = layers.FactorOut(layers.Standardize([1.0] * kept, [2.0] * kept))
  x = images(channels)
  y, log_det = layer.forward_and_log_det(x)
  rest = (x[..., :kept] - 1.0) / 2.0
  expected = tf.concat([
      tf.reshape(x[..., kept:], [3, -1]), tf.reshape(rest, [3, -1])], axis=1)
  np.testing.assert_allclose(y, expected, rtol=1e-6)
  np.testing.assert_allclose(
      log_det, np.full(3, -4 * kept * np.log(2.0)), rtol=1e-6)
  np.testing.assert_allclose(layer.inverse(y), x, atol=1e-6)
  assert layer.compute_output_shape((None, 2, 2, channels)) == (
      None, 4 * channels)


@loops.each([0, 1, 2])
def test_features_are_what_leaves(num_taps):
  layer = layers.FactorOut(layers.FeatureTap(), num_taps)
  x = images(4)
  features = layer.transform(x).features
  assert len(features) == num_taps + 1
  for feature in features[:-1]:
    np.testing.assert_array_equal(feature, x[..., 2:])
  np.testing.assert_array_equal(features[-1], x[..., :2])


def test_refuses_a_single_channel():
  with pytest.raises(errors.InvalidValueError, match='two channels or more'):
    layers.FactorOut(layers.ActNorm()).build((None, 2, 2, 1))
