"""The accuracy of a classifier that is known."""

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tf_resflow import datasets
from tf_resflow import evaluation

_LABELS = np.array([0, 0, 1, 2, 2, 2, 1], np.int32)


class _Brightness:
  """Takes the number of bright halves for the class of an image."""

  def classify(self, x):
    bright = tf.cast(tf.reduce_mean(x, axis=[2, 3]) > 0.5, tf.int32)
    return tf.one_hot(tf.reduce_sum(bright, axis=1), 3)


@pytest.fixture(scope='module')
def split():
  images = np.zeros([7, 2, 2, 1], np.uint8)
  for image, label in zip(images, _LABELS, strict=True):
    image[:label] = 15
  images[4] = 0  # The only one that is taken for another.
  return datasets.ImageSplit(
      tf.data.Dataset.from_tensor_slices({'image': images, 'label': _LABELS}),
      7, (2, 2, 1), 16)


@pytest.mark.parametrize('num_examples, expected', [(None, 6 / 7), (4, 1.0)])
@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_share_of_right_classes(split, num_examples, expected, strategy):
  assert evaluation.accuracy(
      _Brightness(), split, batch_size=2, num_examples=num_examples,
      strategy=strategy and strategy()) == expected
