"""The properties that the tests of TFP check of its own bijectors."""

import keras
import numpy as np
import pytest
from scipy import integrate
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tests import cases
from tf_resflow import bijectors
from tf_resflow import layers


def make_g(dtype='float64'):
  """Returns a network of one number, at its bound."""
  return keras.Sequential([
      keras.Input((1,)),
      *(layer for i in range(2) for layer in (
          layers.SpectralDense(16, coeff=0.9, seed=i, dtype=dtype),
          layers.Tanh(dtype=dtype))),
      layers.SpectralDense(1, coeff=0.9, seed=5, dtype=dtype)])


SCALAR = {
    'residual': lambda: bijectors.ResidualBlock(make_g(), estimator='exact'),
    'monotone': lambda: bijectors.MonotoneBlock(make_g(), estimator='exact'),
    'implicit': lambda: tfb.Invert(
        bijectors.ResidualBlock(make_g(), estimator='exact')),
    'act_norm': lambda: bijectors.ActNorm([1], dtype='float64'),
    'logit': lambda: bijectors.Logit([1], alpha=0.01, dtype='float64')}


@pytest.mark.parametrize('name', SCALAR)
def test_a_map_of_the_line_is_monotone_and_a_change_of_measure(name):
  """`x` between two ends is the integral of `|dx/dy|` between their images."""
  bijector = SCALAR[name]()
  x = np.linspace(0.02, 0.98, 2001)[:, np.newaxis]
  y = bijector.forward(tf.constant(x)).numpy()
  steps = np.diff(y[:, 0])
  assert np.all(steps > 0.0) or np.all(steps < 0.0)
  slopes = np.exp(bijector.inverse_log_det_jacobian(tf.constant(y)))
  np.testing.assert_allclose(
      abs(integrate.simpson(slopes, x=y[:, 0])), 0.96, rtol=1e-6)
  np.testing.assert_allclose(
      slopes, np.exp(-bijector.forward_log_det_jacobian(tf.constant(x))),
      rtol=1e-6)


@pytest.mark.parametrize('name', [
    name for name, case in cases.BIJECTORS.items() if not case.has_condition])
def test_both_directions_are_finite_and_inverse_far_out(name):
  """At 0, next to 0, and far from all data, for `x` and for `y`."""
  case = cases.BIJECTORS[name]
  bijector = case.make('float64')
  shape = bijector.forward_event_shape(case.event_shape)
  sizes = np.array([0.0, 1e-30, -1e-6, 30.0, -1e3, 1e5])
  for there, back, log_det, other, event_shape in (
      (bijector.forward, bijector.inverse, bijector.forward_log_det_jacobian,
       bijector.inverse_log_det_jacobian, case.event_shape),
      (bijector.inverse, bijector.forward, bijector.inverse_log_det_jacobian,
       bijector.forward_log_det_jacobian, shape)):
    rng = np.random.default_rng(0)
    x = sizes.reshape([-1, *[1] * len(event_shape)]) * rng.uniform(
        0.5, 1.0, size=[6, *event_shape])
    y = there(tf.constant(x))
    settings = {'estimator': 'exact'} if case.is_random else {}
    values = log_det(tf.constant(x), **settings)
    # Other tensors, or caches would answer.
    np.testing.assert_allclose(
        back(tf.identity(y)), x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(
        other(tf.identity(y), **settings), -values, rtol=1e-5, atol=1e-5)
    assert np.all(np.isfinite(values)) and np.all(np.isfinite(y))
