"""What conditions are: what is taken, and what is refused in one line."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.layers import condition_spec

_LABELS = layers.ConditionSpec((), num_labels=3)
_VECTORS = layers.ConditionSpec((2,), names=('age', 'dose'))


@loops.each([
    (2, [2]), ([0, 2], [0, 2]), (np.array([1], np.uint8), [1]),
    (tf.constant([2, 1], tf.int64), [2, 1])])
def test_labels(condition, expected):
  labels = _LABELS.convert(condition)
  assert labels.dtype == 'int32'
  np.testing.assert_array_equal(labels, expected)


@loops.each([
    ([1.0, 2.0], [[1, 2]]), ([[1, 2], [3, 4]], [[1, 2], [3, 4]]),
    (np.ones([3, 2], np.float32), np.ones([3, 2]))])
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


def test_python_numbers_keep_their_digits():
  assert _VECTORS.convert([0.1, 0.2], 'float64').numpy()[0, 0] == 0.1


def test_messages_say_what_is_expected():
  assert _LABELS.expected == 'labels [B], whole numbers from 0 to 2'
  assert _VECTORS.expected == 'numbers [B, 2], age, dose'


def test_labels_in_a_graph():
  """What is not known when it is traced is found when it runs."""
  convert = tf.function(
      _LABELS.convert, autograph=False,
      input_signature=[tf.TensorSpec([None], tf.int32)])
  np.testing.assert_array_equal(convert(tf.constant([2, 0])), [2, 0])
  with pytest.raises(tf.errors.InvalidArgumentError, match='whole numbers'):
    convert(tf.constant([3]))


def test_as_batch():
  x = tf.zeros([3, 5])
  np.testing.assert_array_equal(
      condition_spec.as_batch(tf.constant([[1, 2]]), x), [[1, 2]] * 3)
  three = tf.constant([[1], [2], [3]])
  np.testing.assert_array_equal(condition_spec.as_batch(three, x), three)
  with pytest.raises(errors.InvalidValueError, match=(
      'condition=a batch of 2: expected one of 3')):
    condition_spec.as_batch(three[:2], x)


def _matrix():
  layer = condition_spec.ConditionMatrix(2, dtype='float64')
  layer.add_matrix(3)
  layer.kernel.assign(np.arange(6.0).reshape([2, 3]))
  return layer


def test_multiplies_conditions():
  layer = _matrix()
  np.testing.assert_array_equal(
      layer.project([[1.0, 2.0], [0.0, 1.0]]), [[6, 9, 12], [3, 4, 5]])
  np.testing.assert_array_equal(layer.project([0.0, 1.0]), [[3, 4, 5]])
  assert layer.condition_spec == layers.ConditionSpec((2,))


def test_features_need_not_be_finite():
  """Weights that diverged are not a condition that was wrong."""
  assert np.all(np.isnan(_matrix().project(tf.fill([1, 2], np.nan))))


def test_begins_with_zeros():
  layer = condition_spec.ConditionMatrix(np.int64(2))
  layer.add_matrix(3)
  np.testing.assert_array_equal(layer.project([1.0, 2.0]), [[0, 0, 0]])


def test_refusals_of_matrices():
  testing.check_refusal(
      condition_spec.ConditionMatrix, {'condition_size': 0},
      'condition_size=0: expected a number from 1')
  with pytest.raises(errors.InvalidValueError, match='condition=None'):
    _matrix().project(None)
