"""Small splits of images that are no data set, and tables."""

import dataclasses

import numpy as np
import pandas as pd
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors


def make_split(images, num_levels, labels=None):
  """Returns a split of images `[N, H, W, C]`, all of class 0 by default."""
  if labels is None:
    labels = np.zeros(len(images), np.int32)
  return datasets.Split.of_arrays({'x': images, 'label': labels}, num_levels)


def with_conditions(split, conditions, num_labels=0):
  """Returns a split whose examples have conditions, one each."""
  return dataclasses.replace(
      split, num_condition_labels=num_labels, examples=tf.data.Dataset.zip((
          split.examples, tf.data.Dataset.from_tensor_slices(conditions),
      )).map(lambda example, condition: {**example, 'condition': condition}))


def random_split(num_images, num_levels):
  """Returns a split of images `[4, 4, 1]` of noise."""
  images = np.random.default_rng(0).integers(
      0, num_levels, [num_images, 4, 4, 1])
  return make_split(images.astype(np.uint8), num_levels)


def read(split):
  """Returns `x` and labels of the examples, read one by one."""
  rows = list(split.examples.as_numpy_iterator())
  return np.stack([row['x'] for row in rows]), np.stack(
      [row['label'] for row in rows])


def write_table(path, names, rows):
  """Writes numbers `[N, D]` to a .csv file, all of their digits."""
  pd.DataFrame(np.asarray(rows), columns=list(names)).to_csv(path, index=False)


def refusal(fn, *args, **kwargs):
  """Returns the error of a call, '' without one.

  It has one line, but for all problems of a table.
  """
  try:
    fn(*args, **kwargs)
  except errors.InvalidValueError as error:
    text = str(error)
    is_list = 'It has problems:\n' in text
    return text if is_list or '\n' not in text else f'not one line: {text!r}'
  return ''
