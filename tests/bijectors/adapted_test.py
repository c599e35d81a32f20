"""Bijectors that adapt layers compute and are documented as these."""

import inspect
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import layers

_NAMES = ('ActNorm', 'AffineCoupling', 'InvertibleConv1x1', 'InvertibleLinear',
          'Logit', 'Squeeze')


def matrices(name, event_shape):
  return [(name, event_shape, values) for values in (
      dict(parameterization='lu', seed=1),
      dict(initial_matrix=np.diag([1.0, 2.0, 3.0])))]


@pytest.mark.parametrize('name, event_shape, values', [
    ('ActNorm', [2, 2, 3], dict(variance_floor=4.0)),
    ('ActNorm', [2, 2, 3], dict(per_feature=True)),
    *matrices('InvertibleLinear', [3]),
    *matrices('InvertibleConv1x1', [2, 2, 3]),
    ('Logit', [2, 2, 1], dict(alpha=0.2, dtype='float64')),
    ('Squeeze', [6, 6, 2], dict(factor=3))])
def test_values_and_settings_are_those_of_the_layer(name, event_shape, values):
  bijector = getattr(bijectors, name)(event_shape, **values)
  layer = getattr(layers, name)(**values)
  x = tf.random.stateless_uniform([5, *event_shape], [0, 1], dtype=tf.as_dtype(
      values.get('dtype', 'float32')))
  y, log_det = layer.forward_and_log_det(x)
  np.testing.assert_array_equal(bijector.forward(x), y)
  np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), log_det)
  assert bijector.forward_event_shape(event_shape) == y.shape[1:]
  # A copy shares the variables.
  assert bijector.layer is bijector.copy(name='other').layer


@pytest.mark.parametrize('mask, size, dtype', [
    ('channel', 2, 'float32'), ('checkerboard', 4, 'float64')])
def test_a_coupling_by_position(mask, size, dtype):
  network = keras.layers.Conv2D(size, 3, padding='same', dtype=dtype)
  bijector = bijectors.AffineCoupling(network, [4, 3, 2], mask, swap=True)
  layer = layers.AffineCoupling(network, mask, swap=True)
  x = tf.random.stateless_normal([5, 4, 3, 2], [0, 1], dtype=dtype)
  y, log_det = layer.forward_and_log_det(x)
  np.testing.assert_array_equal(bijector.forward(x), y)
  np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), log_det)


def test_takes_a_layer():
  layer = layers.ActNorm()
  bijector = bijectors.ActNorm([3], layer=layer)
  assert bijector.layer is layer is bijector.copy(name='other').layer


def test_signature_and_text_say_all_arguments():
  default_names = []
  for name in _NAMES:
    cls = getattr(bijectors, name)
    parameters = inspect.signature(cls).parameters
    layer_names = list(inspect.signature(
        getattr(layers, name).__init__).parameters)[1:-1]
    assert set(parameters) == {
        *layer_names, 'event_shape', 'dtype', 'layer', 'name'}
    for argument in parameters:
      assert f'\n  {argument}: ' in cls.__doc__
    assert pickle.loads(pickle.dumps(cls)) is cls
    default_names.append(parameters['name'].default)
  assert default_names == [
      'act_norm', 'affine_coupling', 'invertible_conv_1x1', 'invertible_linear',
      'logit', 'squeeze']
  assert list(inspect.signature(bijectors.AffineCoupling).parameters) == [
      'network', 'event_shape', 'mask', 'swap', 'shape', 'dtype', 'layer',
      'name']
