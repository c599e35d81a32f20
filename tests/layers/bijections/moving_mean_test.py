"""The moving mean: its recursion, and who may change it."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import replicas
from tf_resflow import errors
from tf_resflow import layers


def batch(seed, shape=(8, 3, 2, 2), dtype='float32'):
  rng = np.random.default_rng(seed)
  return tf.constant(
      rng.normal(size=shape) + rng.normal(size=shape[-1]), dtype)


def mean_of(x):
  return np.mean(x, axis=tuple(range(x.shape.rank - 1)), dtype=np.float64)


def values(layer):
  return [v.numpy() for v in layer.variables]


@loops.each([([8, 3, 2, 2], 0.7, True), ([8, 5], 0.0, False)])
def test_the_recursion(shape, decay, is_traced):
  layer = layers.MovingMean(decay, dtype='float64')
  layer.build([None, *shape[1:]])
  layer.bias.assign(np.arange(shape[-1]))
  update = layer.update_statistics
  update = tf.function(update, autograph=False) if is_traced else update
  expected = np.zeros(shape[-1])
  for t in range(6):
    x = batch(t, shape, 'float64')
    y = update(x)
    # 1, 1/2, 1/3, and then 0.3 for a decay of 0.7.
    expected += max(1.0 - decay, 1.0 / (1 + t)) * (mean_of(x) - expected)
    np.testing.assert_allclose(layer.moving_mean, expected, rtol=1e-12)
    np.testing.assert_allclose(
        y, x - expected + np.arange(shape[-1]), rtol=1e-12)
  assert int(layer.num_updates.numpy()) == 6


def test_passes_change_nothing_and_see_no_other_example():
  layer = layers.MovingMean()
  layer.update_statistics(batch(0))
  before = values(layer)
  x = batch(1)
  y, log_det = tf.function(layer.forward_and_log_det, autograph=False)(x)
  layer.inverse(layer(x))
  for a, b in zip(values(layer), before, strict=True):
    np.testing.assert_array_equal(a, b)
  np.testing.assert_array_equal(log_det, np.zeros(8))
  # Not the mean of its own batch.
  assert np.abs(mean_of(y)).max() > 0.1
  for i in (0, 5):
    np.testing.assert_array_equal(
        layer.forward_and_log_det(x[i:i + 1])[0], y[i:i + 1])


@loops.each([
    np.zeros([0, 3], 'float32'), np.full([2, 3], np.nan, 'float32'),
    np.full([2, 3], np.inf, 'float32')])
def test_batches_without_a_mean_do_not_count(bad):
  layer = layers.MovingMean()
  layer.update_statistics(tf.constant(bad))
  assert int(layer.num_updates.numpy()) == 0
  layer.update_statistics(batch(0, (8, 3)))
  before = values(layer)
  layer.update_statistics(tf.constant(bad))
  for a, b in zip(values(layer), before, strict=True):
    np.testing.assert_array_equal(a, b)


def test_replicas_take_the_mean_of_the_global_batch():
  strategy = replicas.two_replicas()
  with strategy.scope():
    layer = layers.MovingMean(dtype='float64')
    layer.build((None, 5))
  run = tf.function(
      lambda x: strategy.run(layer.update_statistics, args=(x,)),
      autograph=False)
  alone = layers.MovingMean(dtype='float64')
  for t in range(3):
    # Parts of different sizes, and once nothing.
    parts = [batch(t, (n, 5), 'float64') for n in ((3, 7), (4, 0), (2, 2))[t]]
    run(replicas.per_replica(*parts))
    alone.update_statistics(tf.concat(parts, axis=0))
  for variable, expected in zip(layer.variables, values(alone), strict=True):
    first, second = replicas.local_values(variable.value)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, expected, rtol=1e-12)


def test_containers_hand_the_batch_on():
  """Through a chain and a split, behind what stands before the layer."""
  inner, outer = layers.MovingMean(), layers.MovingMean()
  chain = layers.Chain([
      layers.Standardize([1.0] * 4, [2.0] * 4), outer,
      layers.Split(layers.Chain([inner, layers.Flatten()]))])
  assert chain.has_moving_statistics
  assert not layers.Chain([layers.ActNorm()]).has_moving_statistics
  x = batch(3, (8, 3, 2, 4))
  y = chain.update_statistics(x)
  np.testing.assert_allclose(
      outer.moving_mean, mean_of((x - 1.0) / 2.0), rtol=1e-5)
  # What comes out of the outer one has the mean 0.
  np.testing.assert_allclose(inner.moving_mean, np.zeros(2), atol=1e-6)
  np.testing.assert_allclose(y, chain(x), atol=1e-6)
  inner.moving_mean.assign([1.0, 2.0])
  outer.bias.assign([0.5] * 4)
  chain.update_statistics(x)
  np.testing.assert_allclose(  # The second of two updates: half of the way.
      inner.moving_mean, [0.75, 1.25], atol=1e-5)


@loops.each([-0.1, 1.0, float('nan')])
def test_refuses_decays(decay):
  with pytest.raises(errors.InvalidValueError, match='^decay=.*: expected a n'):
    layers.MovingMean(decay)
