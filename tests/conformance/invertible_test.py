"""Inverses, and log-determinants against the autodiff Jacobian."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tests import cases
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics

_TOLERANCE = {'float32': 1e-4, 'float64': 1e-8}


def forward(subject, x):
  return cases.evaluate(subject, x)[0]


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
@pytest.mark.parametrize('name', cases.INVERTIBLE)
def test_inverse(name, dtype):
  case = cases.INVERTIBLE[name]
  subject = case.make(dtype)
  x = case.inputs(dtype)
  y = forward(subject, x)
  assert y.dtype == dtype
  # Another tensor, or the cache of a bijector would answer with x itself.
  x_again = subject.inverse(tf.identity(y))
  assert x_again.dtype == dtype and x_again.shape == x.shape
  np.testing.assert_allclose(x_again, x, rtol=0, atol=_TOLERANCE[dtype])
  # The other way round, from a y that forward did not make.
  y = y + tf.cast(0.01 * tf.cos(y), dtype)
  y_again = forward(subject, tf.identity(subject.inverse(y)))
  np.testing.assert_allclose(
      y_again, y, rtol=_TOLERANCE[dtype], atol=_TOLERANCE[dtype])


def exact_log_det(subject, x):
  """The log-determinant without draws."""
  if isinstance(subject, tfb.Bijector):
    return subject.forward_log_det_jacobian(x)
  if isinstance(subject, (layers.ResidualBlock, models.Flow)):
    return subject.forward_and_log_det(x, log_det=numerics.Exact())[1]
  return subject.forward_and_log_det(x)[1]


def jacobian_log_det(subject, x):
  """`slogdet` of the Jacobian that autodiff finds, `[B]`."""
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    y = forward(subject, x)
  jacobian = tape.batch_jacobian(y, x, experimental_use_pfor=False)
  size = x.shape[1:].num_elements()
  return np.linalg.slogdet(np.reshape(jacobian, [-1, size, size]))[1]


@pytest.mark.parametrize('name', [
    name for name, case in cases.INVERTIBLE.items()
    if name not in cases.BIJECTORS or not case.is_random])
def test_log_det_is_that_of_the_jacobian(name):
  case = cases.INVERTIBLE[name]
  subject = case.make('float64')
  x = case.inputs('float64', batch_size=3)
  forward(subject, x)  # Initialises ActNorm.
  log_det = exact_log_det(subject, x)
  assert log_det.shape == [3] and log_det.dtype == 'float64'
  np.testing.assert_allclose(
      log_det, jacobian_log_det(subject, x), rtol=0, atol=1e-8)


@pytest.mark.parametrize('name', cases.BIJECTORS)
def test_log_dets_of_both_directions_are_opposite(name):
  case = cases.BIJECTORS[name]
  bijector = case.make('float64')
  x = case.inputs('float64')
  y = bijector.forward(x, seed=1)
  forward_log_det = bijector.forward_log_det_jacobian(
      tf.identity(x), seed=1)
  inverse_log_det = bijector.inverse_log_det_jacobian(
      tf.identity(y), seed=1)
  np.testing.assert_allclose(
      inverse_log_det, -forward_log_det, rtol=0, atol=1e-8)


@pytest.mark.parametrize('name', cases.MODELS)
def test_base_density_plus_log_det_is_log_prob(name):
  """`log_prob` of a model is the change of variables, summed over blocks."""
  case = cases.MODELS[name]
  model = case.make('float64')
  x = case.inputs('float64')
  z, log_det = model.forward_and_log_det(x, seed=3)
  size = z.shape[1]
  base = -0.5 * np.sum(np.square(z), axis=1) - 0.5 * size * np.log(2 * np.pi)
  np.testing.assert_allclose(
      model.log_prob(x, seed=3), base + log_det, rtol=1e-10)
