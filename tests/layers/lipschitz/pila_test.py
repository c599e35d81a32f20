"""CPila: values, derivatives, and the singular values of its derivative."""

import numpy as np
import tensorflow as tf

from tests import loops
from tests.layers.lipschitz import slopes
from tf_resflow import layers
from tf_resflow.layers.lipschitz import pila


def formula(x, k=5.0):
  """Pila in float64 with NumPy, as the paper has it."""
  t = np.minimum(x, 0.0)
  return np.where(
      x > 0, x, (k**2 / 2 * t**3 - k * t**2 + t) * np.exp(k * t))


def test_value():
  x = np.linspace(-3.0, 3.0, 122).reshape(2, 61)
  expected = np.concatenate([formula(x - 0.2), formula(-x - 0.2)], 1) / 1.06
  np.testing.assert_allclose(
      layers.CPila(dtype='float64')(x), expected, atol=1e-15)


def test_slopes():
  layer = layers.CPila(dtype='float64')
  slopes.check(layer, np.linspace(-20.0, 20.0, 400_001))
  assert layer.lipschitz_bound < 1.0
  # The stated constant is no larger than its rounding.
  largest = slopes.norms(layer, np.linspace(-2.0, 2.0, 400_001)).max()
  assert layer.lipschitz_bound - largest < 1e-6
  inner = slopes.norms(layer, np.linspace(-0.2, 0.2, 40_001))
  np.testing.assert_allclose(inner.max() * 1.06, 1.0427, atol=1e-4)


@loops.each([-2.0, -0.7, -0.2, -0.01, 0.0, 0.3, 4.0])
def test_first_and_second_derivative(x):
  x = tf.constant(x, tf.float64)
  with tf.GradientTape() as outer:
    outer.watch(x)
    with tf.GradientTape() as inner:
      inner.watch(x)
      y = pila.pila(5.0 * x) / 5.0
    first = inner.gradient(y, x)
  second = outer.gradient(first, x)
  h = 1e-4
  upper, middle, lower = (formula(x.numpy() + step) for step in (h, 0.0, -h))
  np.testing.assert_allclose(first, (upper - lower) / (2 * h), atol=1e-6)
  np.testing.assert_allclose(
      second, (upper - 2 * middle + lower) / h**2, atol=1e-2)


@loops.each(['float32', 'float64'])
def test_large_inputs(dtype):
  x = tf.constant([-1e30, -1000.0, 200.0, 1e30], dtype)
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = pila.pila(x)
  np.testing.assert_array_equal(y, np.maximum(x, 0.0))
  np.testing.assert_array_equal(tape.gradient(y, x), [0.0, 0.0, 1.0, 1.0])
