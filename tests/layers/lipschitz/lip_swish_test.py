"""LipSwish: values, slopes and derivatives."""

import numpy as np
import tensorflow as tf

from tests import loops
from tests.layers.lipschitz import slopes
from tf_resflow import layers

_BETAS = [-8.0, -1.0, 0.0, 0.5, 3.0, 20.0]


def make_lipswish(beta):
  layer = layers.LipSwish(beta_initial=beta, dtype='float64')
  layer.build((None, 1))
  return layer


def softplus(beta):
  return np.logaddexp(0.0, beta)


def formula(x, slope):
  """LipSwish in float64 with NumPy."""
  return x / (1.0 + np.exp(-slope * x)) / 1.1


@loops.each(_BETAS)
def test_value(beta):
  x = np.linspace(-6.0, 6.0, 41)
  y = make_lipswish(beta)(tf.constant(x))
  np.testing.assert_allclose(y, formula(x, softplus(beta)), atol=1e-14)


@loops.each(_BETAS)
def test_slope_is_below_its_bound_and_attains_it(beta):
  layer = make_lipswish(beta)
  # The slope is a function of softplus(beta) * x.
  grid = np.linspace(-40.0, 40.0, 400_001) / softplus(beta)
  largest = slopes.norms(layer, grid).max()
  assert layer.lipschitz_bound < 1.0
  assert layer.lipschitz_bound - 1e-6 <= largest <= layer.lipschitz_bound


def derivatives(layer, x):
  """Returns dy/dx, d2y/dx2, dy/dbeta, d2y/dx dbeta and d2y/dbeta2."""
  beta = layer.beta.value
  with tf.GradientTape(persistent=True) as outer:
    outer.watch(x)
    with tf.GradientTape(persistent=True) as inner:
      inner.watch(x)
      y = layer(x)
    dx, dbeta = inner.gradient(y, [x, beta])
  return [
      dx, outer.gradient(dx, x), dbeta, outer.gradient(dx, beta),
      outer.gradient(dbeta, beta)]


@loops.each([-1.0, 0.5, 2.0], [-3.0, -0.4, 0.0, 0.7, 2.5])
def test_first_second_and_mixed_derivatives(beta, x):
  def y(x, beta):
    return formula(x, softplus(beta))

  h = 1e-4
  expected = [
      (y(x + h, beta) - y(x - h, beta)) / (2 * h),
      (y(x + h, beta) - 2 * y(x, beta) + y(x - h, beta)) / h**2,
      (y(x, beta + h) - y(x, beta - h)) / (2 * h),
      (y(x + h, beta + h) - y(x + h, beta - h) - y(x - h, beta + h) +
       y(x - h, beta - h)) / (4 * h**2),
      (y(x, beta + h) - 2 * y(x, beta) + y(x, beta - h)) / h**2]
  actual = derivatives(make_lipswish(beta), tf.constant([x], tf.float64))
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_allclose(np.squeeze(a), b, atol=1e-6)
