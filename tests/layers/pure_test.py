"""A layer as a pure function agrees with the layer itself."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.layers import pure


def dense(units, seed=0, **kwargs):
  return layers.SpectralDense(
      units, coeff=0.7, seed=seed, dtype='float64', **kwargs)


def conv(filters, seed=0):
  return layers.SpectralConv2D(
      filters, 3, coeff=0.7, seed=seed, dtype='float64')


def swish(beta=0.5):
  return layers.LipSwish(beta_initial=beta, dtype='float64')


def sequential(shape, *parts):
  return keras.Sequential([keras.Input(shape), *parts])


def repeated_activation():
  activation = swish(2.0)
  return sequential(
      (3,), dense(4), activation, dense(4, 1), activation, dense(3, 2))


def repeated_linear():
  linear = dense(3)
  return sequential((3,), linear, swish(2.0), linear)


def linear_inside_of_a_part():
  linear = dense(3)
  part = keras.Sequential([keras.Input((3,)), linear])
  model = keras.Model(part.inputs, part(part.inputs[0]))
  return sequential((3,), linear, swish(2.0), dense(3, 1), model)


def effective_weights(layer):
  variables, constants = pure.tensors(layer)
  return pure.prepare(
      layer, variables, pure.settle(layer, variables, constants))


# Name -> a g and the number of activations whose scales its kernels take.
CASES = {
    'dense': (lambda: sequential(
        (3,), swish(-1.0), dense(4), swish(), dense(5, 1), swish(2.0),
        dense(3, 2), swish()), 2),
    'conv': (lambda: sequential(
        (4, 4, 2), conv(3), swish(), conv(3, 1), swish(1.5), conv(2, 2)), 2),
    'nested': (lambda: sequential(
        (3,), sequential((3,), dense(4), swish()),
        sequential((4,), dense(3, 1))), 1),
    'no bias': (lambda: sequential(
        (3,), dense(4, use_bias=False), swish(), dense(3, 1)), 1),
    'other activation': (lambda: sequential(
        (3,), dense(4), layers.ELU(dtype='float64'), dense(3, 1)), 0),
    'reshape between': (lambda: sequential(
        (3,), dense(4), swish(), keras.layers.Reshape((4,)), dense(3, 1)), 0),
    'no slope': (lambda: sequential(
        (3,), dense(4), swish(-800.0), dense(3, 1)), 1),
    'steep': (lambda: sequential((3,), dense(4), swish(60.0), dense(3, 1)), 1),
    'repeated activation': (repeated_activation, 0),
    'repeated linear': (repeated_linear, 0),
    'linear inside of a part': (linear_inside_of_a_part, 0),
    'one layer': (lambda: dense(3), 0),
}


@pytest.mark.parametrize('name', CASES)
def test_value_and_gradients(name):
  make_fn, num_folded = CASES[name]
  layer = make_fn()
  shape = (3,) if name == 'one layer' else layer.input_shape[1:]
  x = tf.constant(np.random.default_rng(0).normal(size=[2, *shape]))
  if not layer.built:
    layer.build((None, *shape))
  assert len(pure._folded(layer)) == num_folded
  cotangent = tf.constant(np.random.default_rng(1).normal(size=[2, *shape]))
  variables = [v.value for v in layer.trainable_variables]

  def differentiate(function):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = function(x)
    return y, *tape.gradient(y, [x, *variables], cotangent)

  actual = differentiate(
      lambda x: pure.apply(layer, effective_weights(layer), x))
  expected = differentiate(lambda x: pure.call(layer, x))
  for a, b in zip(actual, expected, strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-13)


def test_folded_scales_leave_the_variables_alone():
  layer = CASES['dense'][0]()
  before = [v.numpy().copy() for v in layer.variables]
  effective_weights(layer)
  for a, b in zip(layer.variables, before, strict=True):
    np.testing.assert_array_equal(a, b)
