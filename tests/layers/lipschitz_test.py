"""Which Lipschitz bounds are known, and what g may not contain."""

import keras
import numpy as np
import pytest

from tf_resflow import layers
from tf_resflow.layers import lipschitz

_SWISH = layers.LipSwish.lipschitz_constant


def dense(coeff=0.9):
  return layers.SpectralDense(3, coeff=coeff)


@pytest.mark.parametrize('make_fn, bound', [
    (lambda: dense(0.8), 0.8),
    (lambda: layers.SpectralConv2D(3, 3, coeff=0.7), 0.7),
    (lambda: layers.LipSwish(), _SWISH),
    (lambda: layers.ELU(), 1.0),
    (lambda: keras.layers.Activation('relu'), 1.0),
    (lambda: keras.layers.Activation('sigmoid'), 0.25),
    (lambda: keras.layers.Flatten(), 1.0),
    (lambda: keras.layers.Reshape((3, 1)), 1.0),
    (lambda: keras.Sequential([dense(0.8), layers.LipSwish(), dense(0.5)]),
     0.4 * _SWISH),
    (lambda: keras.Sequential([keras.Sequential([dense(0.5)]), dense(0.5)]),
     0.25),
    (lambda: keras.layers.Dense(3), None),
    (lambda: keras.layers.Activation('gelu'), None),
    (lambda: keras.Sequential([dense(), keras.layers.Dense(3)]), None),
])
def test_known_bound(make_fn, bound):
  assert layers.known_bound(make_fn()) == (
      bound if bound is None else pytest.approx(bound))


@pytest.mark.parametrize('name', [
    'linear', 'relu', 'elu', 'softplus', 'tanh', 'sigmoid', 'softsign'])
def test_constants_of_keras_activations(name):
  layer = keras.layers.Activation(name)
  x = np.linspace(-8.0, 8.0, 16_001).astype('float32')
  slope = np.abs(np.diff(np.asarray(layer(x), np.float64)) / 1e-3).max()
  bound = layers.known_bound(layer)
  assert 0.99 * bound <= slope <= 1.01 * bound


@pytest.mark.parametrize('make_fn', [
    keras.layers.BatchNormalization, lambda: keras.layers.Dropout(0.1),
    lambda: keras.layers.GaussianNoise(0.1), layers.ActNorm])
def test_refuses_what_is_no_function_of_one_example(make_fn):
  layer = make_fn()
  g = keras.Sequential([dense(), keras.Sequential([layer]), dense()])
  for kwargs in ({}, {'lipschitz_bound': 0.5}):
    with pytest.raises(ValueError, match=f'g contains {type(layer).__name__}'):
      layers.ResidualBlock(g, **kwargs)


def test_refuses_an_unknown_bound():
  g = keras.Sequential([keras.layers.Dense(3)])
  with pytest.raises(ValueError, match='is not known.*lipschitz_bound='):
    layers.ResidualBlock(g)


@pytest.mark.parametrize('bound', [1.0, 1.5, -0.1])
def test_refuses_a_bound_that_is_not_below_one(bound):
  with pytest.raises(ValueError, match=f'is {bound}; it must be below 1'):
    layers.ResidualBlock(keras.layers.Dense(3), lipschitz_bound=bound)


def test_refuses_a_known_bound_of_one():
  g = keras.Sequential([keras.layers.Activation('tanh')])
  with pytest.raises(ValueError, match='is 1.0; it must be below 1'):
    layers.ResidualBlock(g)


def test_an_asserted_bound_holds_over_the_known_one():
  block = layers.ResidualBlock(dense(0.9), lipschitz_bound=0.3)
  assert block.lipschitz_bound == 0.3


def test_the_name_of_a_function_is_no_bound():
  def tanh(x):
    return 5.0 * keras.ops.tanh(x)

  assert lipschitz.known_bound(keras.layers.Activation(tanh)) is None
  assert lipschitz.known_bound(keras.layers.Activation('tanh')) == 1.0

  class Unstated(layers.LipschitzActivation):
    pass

  assert lipschitz.known_bound(Unstated()) is None


@pytest.mark.parametrize('make_layer', [
    lambda: keras.layers.RandomFlip(), lambda: keras.layers.SpatialDropout1D(
        0.5), lambda: keras.layers.GaussianNoise(0.1)])
def test_refuses_whatever_draws(make_layer):
  with pytest.raises(ValueError, match='deterministic'):
    lipschitz.check_is_function(keras.Sequential([make_layer()]))
