"""Small splits of images that are no data set."""

import numpy as np
import tensorflow as tf

from tf_resflow import datasets


def make_split(images, num_levels, labels=None):
  """Returns a split of images `[N, H, W, C]`, all of class 0 by default."""
  if labels is None:
    labels = np.zeros(len(images), np.int32)
  return datasets.Split(
      tf.data.Dataset.from_tensor_slices({'x': images, 'label': labels}),
      len(images), images.shape[1:], num_levels)


def random_split(num_images, num_levels):
  """Returns a split of images `[4, 4, 1]` of noise."""
  images = np.random.default_rng(0).integers(
      0, num_levels, [num_images, 4, 4, 1])
  return make_split(images.astype(np.uint8), num_levels)
