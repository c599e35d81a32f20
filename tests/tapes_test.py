"""Gradients of the residual block do not depend on what else tapes record."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import layers
from tf_resflow import numerics


def _one_tape(function, x):
  with tf.GradientTape() as tape:
    tape.watch(x)
    value = function(x)
  return tape.gradient(value, x)


def _persistent_tape(function, x):
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    value = function(x)
  tape.gradient(value, x)
  return tape.gradient(value, x)


def _inside_of_its_tape(function, x):
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    return tape.gradient(function(x), x)


def _outer_tape(function, x):
  """The gradient of the outer one, which has recorded that of the inner one."""
  with tf.GradientTape() as outer:
    outer.watch(x)
    with tf.GradientTape() as inner:
      inner.watch(x)
      value = function(x)
    first = inner.gradient(value, x)
    value = tf.identity(value)
  np.testing.assert_equal(first.shape, x.shape)
  return outer.gradient(value, x)


@pytest.mark.parametrize('estimator, wrap', [
    ('roulette', lambda f: f), ('exact', lambda f: f),
    ('inverse', tf.function),
    pytest.param('roulette', tf.function, marks=pytest.mark.slow)])
def test_whatever_else_tapes_record(estimator, wrap):
  block = layers.ResidualBlock(keras.Sequential([
      layers.SpectralDense(8, seed=0), layers.LipSwish(),
      layers.SpectralDense(4, seed=1)]))
  x = tf.random.stateless_normal([2, 4], [0, 1])

  def function(x):
    if estimator == 'inverse':
      return block.inverse(x)
    return block.forward_and_log_det(
        x, seed=0, estimator=numerics.Estimator.get(estimator))[1]

  expected = wrap(lambda x: _one_tape(function, x))(x)
  assert np.abs(expected).max() > 1e-3
  for gradient in (_persistent_tape, _inside_of_its_tape, _outer_tape):
    np.testing.assert_allclose(
        wrap(lambda x, gradient=gradient: gradient(function, x))(x), expected,
        rtol=1e-5, atol=1e-6)
