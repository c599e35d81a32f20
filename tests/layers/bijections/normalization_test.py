"""ActNorm and its initialisation; the recursion of a moving mean."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import replicas
from tf_resflow import errors
from tf_resflow import layers


def batch(seed, shape=(16, 3, 2, 2), scale=3.0, shift=2.0, dtype='float32'):
  rng = np.random.default_rng(seed)
  return tf.constant(scale * rng.normal(size=shape) + shift, dtype)


def channel_moments(y):
  y = np.asarray(y, np.float64)
  axes = tuple(range(y.ndim - 1))
  return np.mean(y, axes), np.var(y, axes)


def values(layer):
  return [v.numpy() for v in layer.variables]


def assert_same(a, b):
  for left, right in zip(a, b, strict=True):
    np.testing.assert_array_equal(left, right)


@loops.each([([16, 3, 2, 2], False), ([16, 5], True)])
def test_first_batch_comes_out_with_mean_0_and_variance_1(shape, is_traced):
  layer = layers.ActNorm()
  layer.build([None, *shape[1:]])
  call = tf.function(layer, autograph=False) if is_traced else layer
  x = batch(0, shape) * tf.range(1.0, shape[-1] + 1)
  mean, variance = channel_moments(call(x))
  np.testing.assert_allclose(mean, 0.0, atol=1e-5)
  np.testing.assert_allclose(variance, 1.0, rtol=1e-4)
  assert layer.initialized.numpy() == 1


def test_statistics_survive_a_large_mean():
  """A difference of squares in float32 would lose the variance."""
  layer = layers.ActNorm()
  x = batch(0, shift=0.0) + 3000.0
  _, variance = channel_moments(layer(x))
  np.testing.assert_allclose(variance, 1.0, rtol=1e-2)


def test_variance_has_a_floor():
  x = batch(0).numpy()
  x[..., 1] = 7.0
  layer = layers.ActNorm(variance_floor=0.25)
  y = layer(tf.constant(x)).numpy()
  np.testing.assert_allclose(y[..., 1], 0.0, atol=1e-5)
  np.testing.assert_allclose(
      layer.log_scale.numpy()[1], -0.5 * np.log(0.25), rtol=1e-6)


def test_inverse_initialises_nothing():
  layer = layers.ActNorm()
  layer.build((None, 3, 2, 2))
  layer.inverse(batch(0))
  assert layer.initialized.numpy() == 0


def test_a_loaded_layer_is_initialised():
  source = layers.ActNorm()
  expected = source(batch(0))
  target = layers.ActNorm.from_config(source.get_config())
  target.build((None, 3, 2, 2))
  traced = tf.function(target, autograph=False)
  traced.get_concrete_function(batch(0))
  target.set_weights(source.get_weights())
  # A trace from before loading keeps what was loaded, too.
  for call in (target, traced):
    call(batch(1, shift=-5.0))
    assert_same(values(target), values(source))
  np.testing.assert_array_equal(target(batch(0)), expected)


def test_traced_before_initialisation():
  """Such a trace initialises on its first call, and on no other."""
  layer = layers.ActNorm()
  layer.build((None, 3, 2, 2))
  call = tf.function(layer, autograph=False)
  call(batch(0))
  before = values(layer)
  call(batch(1, shift=-5.0))
  assert_same(values(layer), before)
  # Nor does it undo what training did.
  layer.bias.assign_add(tf.ones([2]))
  y = call(batch(0))
  np.testing.assert_allclose(y, layer(batch(0)), rtol=1e-6, atol=1e-6)
  np.testing.assert_array_equal(layer.bias.numpy(), before[0] + 1.0)


def test_traced_after_initialisation():
  layer = layers.ActNorm()
  expected = layer(batch(0))
  call = tf.function(layer, autograph=False)
  np.testing.assert_allclose(call(batch(0)), expected, rtol=1e-6, atol=1e-6)
  # Nothing of the initialisation is left in the graph.
  graph = call.get_concrete_function(batch(0)).graph
  assert not [op for op in graph.get_operations() if 'Assign' in op.type]


@loops.each([
    np.zeros([0, 3], 'float32'), np.full([2, 3], np.nan, 'float32')])
def test_batches_without_statistics_do_not_initialise(first):
  layer = layers.ActNorm()
  layer(tf.constant(first))
  assert int(layer.initialized.numpy()) == 0
  np.testing.assert_array_equal(layer.bias.value, np.zeros(3))
  x = tf.random.stateless_normal([100, 3], [0, 1], 5.0, 2.0)
  np.testing.assert_allclose(
      tf.reduce_mean(layer(x), 0), np.zeros(3), atol=1e-5)


@loops.each([([8, 3, 2, 2], 0.7, True), ([8, 5], 0.0, False)])
def test_the_recursion(shape, decay, is_traced):
  layer = layers.MovingMean(decay, dtype='float64')
  layer.build([None, *shape[1:]])
  layer.bias.assign(np.arange(shape[-1]))
  update = layer.update_statistics
  update = tf.function(update, autograph=False) if is_traced else update
  expected = np.zeros(shape[-1])
  for t in range(6):
    x = batch(t, shape, shift=t, dtype='float64')
    y = update(x)
    # 1, 1/2, 1/3, and then 0.3 for a decay of 0.7.
    expected += max(1.0 - decay, 1.0 / (1 + t)) * (
        channel_moments(x)[0] - expected)
    np.testing.assert_allclose(layer.moving_mean, expected, rtol=1e-12)
    np.testing.assert_allclose(
        y, x - expected + np.arange(shape[-1]), rtol=1e-12)
  assert int(layer.num_updates.numpy()) == 6


def test_passes_change_nothing_and_see_no_other_example():
  layer = layers.MovingMean()
  layer.update_statistics(batch(0))
  before = values(layer)
  x = batch(1, shift=-1.0)
  y, log_det = tf.function(layer.forward_and_log_det, autograph=False)(x)
  layer.inverse(layer(x))
  assert_same(values(layer), before)
  np.testing.assert_array_equal(log_det, np.zeros(16))
  # Not the mean of its own batch.
  assert np.abs(channel_moments(y)[0]).max() > 0.1
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
  assert_same(values(layer), before)


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
    parts = [batch(n, (n, 5), shift=t, dtype='float64')
             for n in ((3, 7), (4, 0), (2, 1))[t]]
    run(replicas.per_replica(*parts))
    alone.update_statistics(tf.concat(parts, axis=0))
  for variable, expected in zip(layer.variables, values(alone), strict=True):
    first, second = replicas.local_values(variable.value)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, expected, rtol=1e-12)


def test_containers_hand_the_batch_on():
  """Composition and split: statistics are those of the layer's inputs."""
  inner, outer = layers.MovingMean(), layers.MovingMean()
  chain = layers.SequentialBijection([
      layers.Standardize([1.0] * 4, [2.0] * 4), outer,
      layers.FactorOut(layers.SequentialBijection([inner, layers.Flatten()]))])
  assert chain.has_moving_statistics
  assert not layers.SequentialBijection(
      [layers.ActNorm()]).has_moving_statistics
  x = batch(3, (8, 3, 2, 4))
  y = chain.update_statistics(x)
  np.testing.assert_allclose(
      outer.moving_mean, channel_moments((x - 1.0) / 2.0)[0], rtol=1e-5)
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
