"""Parts: what they hold, in memory and one by one."""

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.datasets import split as split_lib


def test_examples_at_places(embedded_dir):
  split = datasets.load('digits', 'test', data_dir=embedded_dir)
  images, _ = splits.read(split)
  found = split.examples_at([7, 0, 359, 7])
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(found, images[[7, 0, 359, 7]])
  for place in (-1, 360):
    with pytest.raises(ValueError, match=f'position={place}: expected one of'):
      split.examples_at([0, place])


def test_arrays_are_the_examples_also_inside_a_function(embedded_dir):
  split = datasets.load('digits', 'test', data_dir=embedded_dir)

  @tf.function
  def total():
    return tf.reduce_sum(tf.cast(split.arrays['x'], tf.int32))

  images, labels = splits.read(split)
  assert total().numpy() == images.sum()
  np.testing.assert_array_equal(split.arrays['x'], images)
  np.testing.assert_array_equal(split.arrays['label'], labels)


@pytest.mark.parametrize('name, expected', [
  ('train', range(7)), ('validation', range(7, 10)), ('test', range(10)),
])
def test_take_part(name, expected):
  examples, size = split_lib.take_part(
    tf.data.Dataset.range(10), 10, name, 3, 'ten'
  )
  assert list(examples.as_numpy_iterator()) == list(expected)
  assert size == len(expected)


def test_something_is_left_to_train_on():
  with pytest.raises(errors.InvalidValueError, match='fewer than the 10 train'):
    split_lib.take_part(tf.data.Dataset.range(10), 10, 'train', 10, 'ten')
