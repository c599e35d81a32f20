"""Where a condition enters a network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import networks
from tf_resflow import errors
from tf_resflow import layers


def _x():
  return tf.constant(np.random.default_rng(0).normal(size=[3, 5]))


def _condition():
  return tf.constant(np.random.default_rng(1).normal(size=[3, 4]))


def test_shift_and_gate_are_what_they_say():
  x, condition = _x(), _condition()
  settings = {'kernel_initializer': keras.initializers.RandomNormal(seed=1),
              'dtype': 'float64'}
  shift, gate = (kind(4, **settings) for kind in (
      layers.ConditionShift, layers.ConditionGate))
  np.testing.assert_allclose(
      shift(x, condition=condition) - x, condition @ shift.kernel.value,
      rtol=1e-12)
  np.testing.assert_allclose(
      gate(x, condition=condition) / x,
      1.0 / (1.0 + np.exp(-2.0 - condition @ gate.kernel.value)), rtol=1e-12)


def test_images_are_shifted_by_channel():
  x = tf.zeros([2, 3, 4, 5])
  shift = layers.ConditionShift(2, kernel_initializer='ones')
  y = shift(x, condition=[[1.0, 2.0], [0.0, 0.5]])
  np.testing.assert_array_equal(y[0], np.full([3, 4, 5], 3.0))
  np.testing.assert_array_equal(y[1], np.full([3, 4, 5], 0.5))


def test_a_shift_does_not_keep_an_activation_from_its_neighbours():
  """The scales of LipSwish go into the kernels around it, and the shift."""
  g = networks.conditional_g('float64')
  g.build((None, 3))
  rng = np.random.default_rng(0)
  for variable in g.trainable_variables:
    variable.assign(variable.numpy() + rng.normal(size=variable.shape))
  x, condition = _x()[:, :3], _condition()
  variables, state = g.tensors()
  weights = g.effective_weights(variables, g.converge_norms(variables, state))
  np.testing.assert_allclose(
      g.evaluate(weights, x, *g.context(condition)),
      g(x, condition=condition), rtol=1e-12)
  # It is folded: the activation has no weights of its own.
  assert list(g._folded) == [2] and weights[2] == []


def test_several_layers_take_their_own_contexts():
  g = layers.Sequence([
      layers.ConditionShift(4, kernel_initializer='ones', dtype='float64'),
      layers.Sequence([
          layers.Tanh(dtype='float64'),
          layers.ConditionGate(4, kernel_initializer='ones',
                               dtype='float64')]),
      layers.ConditionShift(4, dtype='float64')])
  x, condition = _x(), _condition()
  g.build(x.shape)
  total = np.sum(condition, axis=1, keepdims=True)
  expected = np.tanh(x + total) / (1.0 + np.exp(-2.0 - total))
  np.testing.assert_allclose(g(x, condition=condition), expected, rtol=1e-12)
  weights = g.effective_weights(*[g.tensors()[0], g.converge_norms(
      *g.tensors())])
  np.testing.assert_allclose(
      g.evaluate(weights, x, *g.context(condition)), expected, rtol=1e-12)
  assert [type(c) for c in g.conditional_layers()] == [
      layers.ConditionShift, layers.ConditionGate, layers.ConditionShift]


def test_keras_sequences_keep_their_conditional_layers():
  g = layers.as_lipschitz_layer(keras.Sequential([
      keras.Input((2,)), layers.SpectralDense(3), layers.ConditionShift(4),
      layers.LipSwish(), layers.SpectralDense(2)]))
  assert g.takes_condition and g(
      tf.ones([5, 2]), condition=tf.ones([5, 4])).shape == [5, 2]


def test_refuses_other_conditions():
  layer = layers.ConditionGate(4, dtype='float64')
  for condition, message in (
      (None, 'condition=None: expected numbers'),
      (np.ones([2, 4]), 'condition=a batch of 2: expected one of 3')):
    with pytest.raises(errors.InvalidValueError, match=f'^{message}'):
      layer(_x(), condition=condition)


def test_refuses_a_conditional_layer_inside_of_a_model_of_keras():
  inputs = keras.Input((2,))
  model = keras.Model(inputs, layers.ConditionShift(4, name='shift')(
      inputs, condition=np.zeros([1, 4])))
  with pytest.raises(errors.InvalidValueError, match=(
      'g=shift: expected no layer that takes a condition inside')):
    layers.as_lipschitz_layer(model)
