"""Known Lipschitz bounds of Keras layers, and layers that g must not have."""

import keras
import numpy as np
import pytest

from tests import loops
from tests import testing
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.layers.lipschitz import keras_layer

_SWISH = layers.LipSwish.lipschitz_bound


def dense(coeff=0.9):
  return layers.SpectralDense(3, coeff=coeff)


def known_bound(layer):
  return layers.as_lipschitz_layer(layer).lipschitz_bound


@loops.each([
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
  assert known_bound(make_fn()) == (
      bound if bound is None else pytest.approx(bound))


@loops.each([
    'linear', 'relu', 'elu', 'selu', 'softplus', 'tanh', 'sigmoid',
    'softsign'])
def test_constants_of_keras_activations(name):
  layer = keras.layers.Activation(name)
  x = np.linspace(-8.0, 8.0, 16_001).astype('float32')
  slope = np.abs(np.diff(np.asarray(layer(x), np.float64)) / 1e-3).max()
  bound = known_bound(layer)
  assert 0.99 * bound <= slope <= 1.01 * bound


@loops.each([
    keras.layers.BatchNormalization, lambda: keras.layers.Dropout(0.1),
    keras.layers.RandomFlip, lambda: keras.layers.SpatialDropout1D(0.5),
    lambda: keras.layers.GaussianNoise(0.1), layers.ActNorm,
    layers.MovingMean])
def test_refuses_what_is_no_function_of_one_example(make_fn):
  layer = make_fn()
  g = keras.Sequential([dense(), keras.Sequential([layer]), dense()])
  for kwargs in ({}, {'lipschitz_bound': 0.5}):
    with pytest.raises(errors.InvalidValueError, match=(
        rf'^g={type(layer).__name__} \(.*\): expected a deterministic funct')):
      layers.ResidualBlock(g, **kwargs)


def test_refuses_bounds():
  def make(values):
    layer, bound = values
    layers.ResidualBlock(keras.Sequential([layer]), lipschitz_bound=bound)

  expected = 'expected a number in [0, 1)'
  testing.check_refusals(make, [
      ((keras.layers.Dense(3), None), '... of g ... is unknown...lipschitz_bo'),
      ((keras.layers.Activation('tanh'), None),
       f'lipschitz_bound=1.0: {expected}'),
      *(((keras.layers.Dense(3), bound), f'lipschitz_bound={bound}: {expected}')
        for bound in (1.0, -0.1))])


def test_the_name_of_a_function_is_no_bound():
  def tanh(x):
    return 5.0 * keras.ops.tanh(x)

  assert known_bound(keras.layers.Activation(tanh)) is None
  assert known_bound(keras.layers.Activation('tanh')) == 1.0


def test_users_register_bounds_of_their_layers():

  class Halve(keras.layers.Layer):

    def call(self, inputs):
      return 0.5 * inputs

  assert known_bound(Halve()) is None
  keras_layer.KERAS_BOUNDS[Halve] = lambda layer: 0.5
  try:
    assert known_bound(keras.Sequential([Halve(), Halve()])) == 0.25
  finally:
    del keras_layer.KERAS_BOUNDS[Halve]


def test_layers_of_unknown_function_share_no_graph():
  """Two activations of one name may be two functions."""

  def make(factor):
    def scale(x):
      return factor * x
    return layers.KerasLayer(keras.layers.Activation(scale))

  a, b = make(0.5), make(0.25)
  assert a.structure() == a.structure() != b.structure()
  relu = [layers.KerasLayer(keras.layers.ReLU()) for _ in range(2)]
  assert relu[0].structure() != relu[1].structure()
  tanh = [layers.KerasLayer(keras.layers.Activation('tanh')) for _ in range(2)]
  assert tanh[0].structure() == tanh[1].structure()


def test_constrained_layers_within_a_model_are_found():
  inputs = keras.Input((3,))
  model = keras.Model(inputs, dense(0.5)(inputs))
  layer = layers.as_lipschitz_layer(model, lipschitz_bound=0.5)
  assert len(layer.constrained_layers()) == 1
  assert layer.certificate().methods == ('asserted',)
