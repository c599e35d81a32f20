"""The weight average against its recursion in NumPy."""

import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tf_resflow import training


def _make_model():
  model = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
  model.layers[0].kernel.assign(np.arange(6.0).reshape(3, 2))
  return model


def _values(variables):
  return [v.numpy() for v in variables]


@pytest.mark.parametrize('decay', [0.6, 0.999])
def test_update_follows_the_recursion(decay):
  model = _make_model()
  ema = training.ExponentialMovingAverage(model, decay)
  expected = _values(model.trainable_variables)
  rng = np.random.default_rng(0)
  update = tf.function(ema.update, autograph=False)
  for t in range(20):
    for variable in model.trainable_variables:
      variable.assign(rng.normal(size=variable.shape))
    update(tf.constant(t, tf.int64))
    # 0.1, 2/11, ...: reaches 0.6 at t = 12.5, and 0.999 never here.
    d = min(decay, (1 + t) / (10 + t))
    expected = [d * a + (1 - d) * w.numpy() for a, w in zip(
        expected, model.trainable_variables, strict=True)]
    for a, b in zip(ema.averages, expected, strict=True):
      np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  # It starts again.
  assert np.any(ema.averages[1] != model.layers[0].bias)
  ema.reset()
  np.testing.assert_equal(
      _values(ema.averages), _values(model.trainable_variables))


def test_two_replicas_swap_and_restore_exactly():
  """After an error as well."""
  strategy = replicas.two_replicas()
  with strategy.scope():
    model = _make_model()
    ema = training.ExponentialMovingAverage(model, 0.5)
  # No float32 rounding of sums may creep in.
  model.layers[0].kernel.assign(np.random.default_rng(1).normal(size=[3, 2]))
  model.layers[0].bias.assign([5.0, 6.0])
  # The ramp starts at 1 / 10.
  strategy.run(
      tf.function(ema.update, autograph=False),
      args=(tf.constant(0, tf.int64),))

  def local_values(variables):
    return [replicas.local_values(variable) for variable in variables]

  weights = [v.value for v in model.trainable_variables]
  trained, averages = local_values(weights), local_values(ema.averages)
  np.testing.assert_array_equal(trained[1], [[5.0, 6.0]] * 2)
  np.testing.assert_allclose(averages[1], [[4.5, 5.4]] * 2, rtol=1e-6)
  with contextlib.suppress(KeyError), ema.swapped():
    np.testing.assert_equal(local_values(weights), averages)
    raise KeyError
  np.testing.assert_equal(local_values(weights), trained)
  np.testing.assert_equal(local_values(ema.averages), averages)
