"""Parts: what they hold, in memory and one by one."""

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tf_resflow import datasets
from tf_resflow.datasets import split as split_lib


def test_arrays_and_examples_at_places():
  """Arrays are the examples, also inside a function."""
  split = datasets.open_split('digits', 'test')

  @tf.function
  def total():
    return tf.reduce_sum(tf.cast(split.arrays['x'], tf.int32))

  images, labels = splits.read(split)
  assert total().numpy() == images.sum()
  np.testing.assert_array_equal(split.arrays['x'], images)
  np.testing.assert_array_equal(split.arrays['label'], labels)
  found = split.examples_at([7, 0, 359, 7])
  assert set(found) == {'x', 'label'} and found['x'].dtype == np.uint8
  np.testing.assert_array_equal(found['x'], images[[7, 0, 359, 7]])
  np.testing.assert_array_equal(found['label'], labels[[7, 0, 359, 7]])
  for place in (-1, 360):
    with pytest.raises(ValueError, match=f'position={place}: expected an in'):
      split.examples_at([0, place])


def test_some_conditions():
  plain = datasets.open_split('digits', 'test')
  assert split_lib.some_conditions(plain, 3) is None
  labels = datasets.open_split(
    'digits', 'test', condition_on=('label',))
  found = split_lib.some_conditions(labels, 13)
  assert found.dtype == tf.int32
  assert found.numpy().tolist() == [*range(10), 0, 1, 2]
  # Numbers have no order of their own: those of the data, from the first on.
  conditions = np.random.default_rng(0).normal(size=[5, 2]).astype(np.float32)
  images = np.arange(5, dtype=np.uint8)[:, None, None, None]
  split = splits.with_conditions(splits.make_split(images, 256), conditions)
  found = split.examples_at([4, 0, 4])
  assert found['x'].ravel().tolist() == [4, 0, 4]
  np.testing.assert_array_equal(found['condition'], conditions[[4, 0, 4]])
  for num_examples in (1, 5, 12):
    found = split_lib.some_conditions(split, num_examples)
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(
      found, conditions[np.arange(num_examples) % 5])
