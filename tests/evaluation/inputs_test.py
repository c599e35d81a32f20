"""What a flow takes of a batch: every example with its own condition."""

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests.evaluation import conditional_flows
from tf_resflow import errors
from tf_resflow.evaluation import inputs


@pytest.fixture(scope='module', name='labelled')
def _labelled():
  return conditional_flows.make_labelled_flow()


@pytest.fixture(scope='module', name='vector')
def _vector():
  return conditional_flows.make_vector_flow('float32')


@pytest.mark.parametrize('batch, expected', [
    ({'x': 1, 'label': 2, 'index': 3}, (1,)),
    ({'label': 2, 'condition': 4, 'x': 1}, (1, 4)),
    ((1,), (1,)), ((1, 4), (1, 4)), (1, (1,))])
def test_inputs_of_batches(batch, expected):
  assert inputs.inputs_of(batch) == expected


def test_keywords():
  assert inputs.as_keyword(()) == {}
  assert inputs.as_keyword((4,)) == {'condition': 4}


@pytest.mark.parametrize('batch_size, sizes', [
    (3, [3, 3, 1]), (7, [7]), (10, [7])])
def test_slices_keep_rows_together(batch_size, sizes):
  x, c = np.arange(14).reshape([7, 2]), np.arange(7)
  parts = inputs.slices((x, c), batch_size)
  assert [len(part[0]) for part in parts] == sizes
  for i, whole in enumerate((x, c)):
    np.testing.assert_array_equal(
        np.concatenate([part[i] for part in parts]), whole)
  assert all(len(part) == 1 for part in inputs.slices((x,), 2))


def test_no_conditions_of_a_flow_without():
  plain = flows.make_flow_without_blocks()
  assert inputs.conditions_for(plain, None, 3) is None
  with pytest.raises(errors.InvalidValueError, match='condition=given: expe'):
    inputs.conditions_for(plain, [1, 2, 0], 3)


@pytest.mark.parametrize('given', [
    2, [2], np.int64(2), tf.constant([2], tf.int64)])
def test_one_label_for_all(labelled, given):
  found = inputs.conditions_for(labelled, given, 4)
  assert found.dtype == np.int32
  np.testing.assert_array_equal(found, [2, 2, 2, 2])


def test_conditions_of_every_example(labelled, vector):
  np.testing.assert_array_equal(
      inputs.conditions_for(labelled, [2, 0, 1], 3), [2, 0, 1])
  numbers = np.arange(6).reshape([3, 2])
  found = inputs.conditions_for(vector, numbers, 3)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, numbers)
  np.testing.assert_array_equal(
      inputs.conditions_for(vector, [5.0, 6.0], 3), [[5.0, 6.0]] * 3)


@pytest.mark.parametrize('given, message', [
    (None, 'condition=None: expected labels [B], whole numbers from 0 to 2. G'),
    ([0, 3], 'condition=3: expected labels [B], whole numbers from 0 to 2.'),
    ([0, -1], 'condition=-1: expected labels [B]'),
    ([0.0, 1.0], 'condition=a tensor float32 (2,): expected labels [B]'),
    ([[0, 1]], 'condition=a tensor int32 (1, 2): expected labels [B]'),
    ('one', 'condition=a tensor string ()')])
def test_what_is_no_label(labelled, given, message):
  with pytest.raises(errors.InvalidValueError) as error:
    inputs.conditions_for(labelled, given, 2)
  assert str(error.value).startswith(message)


@pytest.mark.parametrize('given, message', [
    (None, 'condition=None: expected numbers [B, 2], a, b.'),
    ([[1.0]], 'condition=a tensor float32 (1, 1): expected numbers [B, 2], a'),
    (1.0, 'condition=a tensor float32 (): expected numbers [B, 2], a, b.')])
def test_what_are_no_such_numbers(vector, given, message):
  with pytest.raises(errors.InvalidValueError) as error:
    inputs.conditions_for(vector, given, 2)
  assert str(error.value).startswith(message)


@pytest.mark.parametrize('num_given', [2, 3, 5, 6, 8])
def test_as_many_conditions_as_examples(labelled, num_given):
  """Batches of 2 would not notice: [0, 1], [2] is one for each, one for all."""
  with pytest.raises(errors.InvalidValueError, match=(
      f'condition=a batch of {num_given}: expected one of 4, or of 1 for all')):
    inputs.conditions_for(labelled, np.zeros(num_given, int), 4)
