"""The tfds builder of the 8 x 8 digits."""

import numpy as np
import tensorflow_datasets as tfds

from tf_resflow import datasets
from tf_resflow.datasets import digits


def test_the_builder_serves_tfds_load(embedded_dir):
  datasets.load('digits', 'test', data_dir=embedded_dir)
  stored = tfds.load('digits', split='test', data_dir=embedded_dir)
  first = next(stored.as_numpy_iterator())
  part = datasets.load('digits', 'test', data_dir=embedded_dir)
  np.testing.assert_array_equal(first['image'], part.arrays['x'][0])


def test_images_are_those_of_the_package(tmp_path):
  """As UCI counts them: digits, of 16 dots at most in a field of 4 x 4."""
  images, labels = digits.Digits(data_dir=str(tmp_path))._source()
  assert images.dtype == np.uint8 and images.shape == (1797, 8, 8, 1)
  assert images.min() == 0 and images.max() == 16
  assert np.bincount(labels).tolist() == [
      178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
