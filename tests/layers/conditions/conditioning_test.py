"""Conditions: specifications, errors of one line, conditional layers."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import networks
from tests import testing
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.layers.conditions import conditioning

_LABELS = layers.ConditionSpec((), num_labels=3)
_VECTORS = layers.ConditionSpec((2,))


@loops.each([
    (2, [2]), ([0, 2], [0, 2]), (np.array([1], np.uint8), [1]),
    (tf.constant([2, 1], tf.int64), [2, 1])])
def test_labels(condition, expected):
  labels = _LABELS.convert(condition)
  assert labels.dtype == 'int32'
  np.testing.assert_array_equal(labels, expected)


@loops.each([
    ([1.0, 2.0], [[1, 2]]), ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    ([0.1, 0.2], [[0.1, 0.2]]), (np.ones([3, 2], np.float32), np.ones([3, 2]))])
def test_numbers(condition, expected):
  numbers = _VECTORS.convert(condition, 'float64')
  assert numbers.dtype == 'float64'
  np.testing.assert_array_equal(numbers, expected)


@loops.each([
    (_LABELS, None, 'None'), (_LABELS, [0, 3], '3'), (_LABELS, -1, '-1'),
    (_LABELS, [1.0], 'a tensor float32 (1,)'),
    (_LABELS, [[1]], 'a tensor int32 (1, 1)'),
    (_LABELS, np.array([2**32 + 1]), '4294967297'),
    (_VECTORS, [[np.nan, 1.0]], 'numbers that are not finite'),
    (_LABELS, 'three', 'a tensor string ()'),
    (_VECTORS, None, 'None'), (_VECTORS, [1.0], 'a tensor float32 (1,)'),
    (_VECTORS, [[1.0, 2.0, 3.0]], 'a tensor float32 (1, 3)'),
    (_VECTORS, [[1.0, 2.0], [3.0]], '[[1.0, 2.0], [3.0]]')])
def test_what_is_refused(spec, condition, given):
  with pytest.raises(errors.InvalidValueError) as error:
    spec.convert(condition)
  assert str(error.value).startswith(
      f'condition={given}: expected {spec.expected}.')
  assert '\n' not in str(error.value)


def test_labels_of_few_bits_are_compared_with_many():
  many = layers.ConditionSpec((), num_labels=1000)
  np.testing.assert_array_equal(
      many.convert(np.array([255, 3], np.uint8)), [255, 3])


def test_labels_in_a_graph():
  """Labels that do not exist are an error when the graph runs."""
  convert = tf.function(
      _LABELS.convert, autograph=False,
      input_signature=[tf.TensorSpec([None], tf.int32)])
  np.testing.assert_array_equal(convert(tf.constant([2, 0])), [2, 0])
  with pytest.raises(tf.errors.InvalidArgumentError, match='integers'):
    convert(tf.constant([3]))


def test_numbers_in_a_graph():
  """Conditions must be finite; encoded conditions need not."""
  rows = tf.constant([[1.0, np.inf]])
  convert, take = (tf.function(method, autograph=False) for method in (
      _VECTORS.convert,
      functools.partial(_VECTORS.convert, is_encoded=True)))
  np.testing.assert_array_equal(convert(rows[:, :1] * [1.0, 2.0]), [[1, 2]])
  with pytest.raises(tf.errors.InvalidArgumentError, match=(
      'condition: expected numbers .B, 2., not')):
    convert(rows)
  np.testing.assert_array_equal(take(rows), rows)


def _matrix():
  layer = conditioning.ConditionMatrix(2, dtype='float64')
  layer.add_matrix(3)
  layer.kernel.assign(np.arange(6.0).reshape([2, 3]))
  return layer


def test_multiplies_conditions():
  """Encoded ones need not be finite: weights that diverged are no error."""
  layer = _matrix()
  np.testing.assert_array_equal(
      layer.project([[1.0, 2.0], [0.0, 1.0]]), [[6, 9, 12], [3, 4, 5]])
  np.testing.assert_array_equal(layer.project([0.0, 1.0]), [[3, 4, 5]])
  assert layer.condition_spec == layers.ConditionSpec((2,))
  assert np.all(np.isnan(layer.project(tf.fill([1, 2], np.nan))))
  # It begins with zeros.
  layer = conditioning.ConditionMatrix(np.int64(2))
  layer.add_matrix(3)
  np.testing.assert_array_equal(layer.project([1.0, 2.0]), [[0, 0, 0]])


def test_refusals_of_matrices():
  testing.check_refusal(
      conditioning.ConditionMatrix, {'condition_size': 0},
      'condition_size=0: expected a number >= 1')
  with pytest.raises(errors.InvalidValueError, match='condition=None'):
    _matrix().project(None)


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
  assert list(networks.conditional_g('float64')._folded) == [2]


def test_several_layers_take_their_own_contexts():
  g = layers.LipschitzSequential([
      layers.ConditionShift(4, kernel_initializer='ones', dtype='float64'),
      layers.LipschitzSequential([
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


def test_refuses_a_conditional_layer_inside_of_a_model_of_keras():
  inputs = keras.Input((2,))
  model = keras.Model(inputs, layers.ConditionShift(4, name='shift')(
      inputs, condition=np.zeros([1, 4])))
  with pytest.raises(errors.InvalidValueError, match=(
      'g=shift takes a condition inside of a Keras layer that does not pass')):
    layers.as_lipschitz_layer(model)


def test_refuses_parts_that_differ():
  for make, kind in (
      (layers.SequentialBijection, layers.ConditionalAffine),
      (lambda parts: layers.ResidualBlock(layers.LipschitzSequential(
          [layers.SpectralDense(3, coeff=0.5), *parts])),
       layers.ConditionShift)):
    testing.check_refusals(make, [(
        [kind(4, name='a'), kind(3, name='b')],
        'condition=numbers [B, 4] (a) and numbers [B, 3] (b): expected the '
        'same for all parts of a bijection or network')])
