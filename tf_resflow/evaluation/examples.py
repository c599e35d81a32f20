"""Dequantised images in a fixed order, of a data set or of a reader's file."""

from collections.abc import Callable, Iterable
import os
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.evaluation import archives

_NO_LABEL = -1


class Examples(NamedTuple):
  """Images as a model sees them.

  Attributes:
    num_examples: how many there are.
    batches: from the size of a batch to all of them, in order, as
      `datasets.evaluation_batches` returns them; every time the same.
  """

  num_examples: int
  batches: Callable[[int], Iterable[dict[str, Any]]]


def examples_from_split(
    split: datasets.Split, seed: int = 0, stream: int = 0,
    num_examples: int | None = None) -> Examples:
  """Returns the examples of a split, with one draw of noise for each.

  Args:
    split: the images.
    seed: of the noise.
    stream: the noise is that of this repeat of `likelihood.nll`, so
      that of several splits can be independent.
    num_examples: only the first so many.
  """
  return Examples(
      num_examples or split.num_examples,
      lambda batch_size: datasets.evaluation_batches(
          split, batch_size=batch_size, seed=seed * 1009 + stream,
          num_examples=num_examples))


def examples_from_file(
    path: str | os.PathLike, model: models.Flow, seed: int = 0,
    stream: int = 0, num_examples: int | None = None, name: str = 'path',
) -> Examples:
  """Returns the images of an .npz file.

  They are its array `x`, or `image` where it has no `x`: floats are dequantised
  already and are taken as they are; integers are levels of the data set that
  the model is of, and are dequantised as those are. An array `label` `[n]` of
  integers is optional.

  Args:
    path: of the file.
    model: of images of the same shape and levels.
    seed: of the noise of integers, see `examples_from_split`.
    stream: likewise.
    num_examples: only the first so many.
    name: of the argument or flag that names the file, for messages.

  Raises:
    InvalidValueError: if it is no such file, or its images do not suit the
      model.
    OSError: if the file cannot be opened.
  """
  arrays = archives.read_arrays(path, name, keys=('x', 'image', 'label'))
  key = 'x' if 'x' in arrays else 'image'
  images, labels = arrays.get(key), arrays.get('label')
  shape, num_levels = model.event_shape, model.num_levels

  def check(condition, advice):
    errors.check(
        condition, name, path, f'an .npz file with an array x or image [n, '
        f'{", ".join(map(str, shape))}], integers from 0 to {num_levels - 1} '
        'or dequantised floats in [0, 1)', advice)

  check(images is not None, f'Its arrays are {", ".join(arrays) or "none"}.')
  is_integer = np.issubdtype(images.dtype, np.integer)
  check(is_integer or np.issubdtype(images.dtype, np.floating),
        f'Its {key} has the dtype {images.dtype}.')
  check(images.shape[1:] == shape and images.size > 0,
        f'Its {key} has the shape {images.shape}.')
  lies = f'Its {key} lies in [{images.min()}, {images.max()}].'
  check(images.min() >= 0 and (
      images.max() < num_levels if is_integer else images.max() <= 1), lies)
  labels = np.full([len(images)], _NO_LABEL) if labels is None else labels
  check(labels.shape == (len(images),) and
        np.issubdtype(labels.dtype, np.integer),
        f'Its label is {labels.dtype} {labels.shape}, not one integer an '
        'image.')
  errors.check(
      (num_examples or 0) <= len(images), 'num_examples', num_examples,
      f'at most {len(images)}', f'That many examples are in {path}.')
  labels = labels.astype(np.int32)
  if is_integer:
    return examples_from_split(datasets.Split(
        tf.data.Dataset.from_tensor_slices(
            {'x': images.astype(np.uint8), 'label': labels}),
        len(images), shape, num_levels), seed, stream, num_examples)
  return _of_arrays(images[:num_examples], labels[:num_examples])


def _of_arrays(images, labels):
  arrays = {'x': images, 'label': labels, 'index': np.arange(len(images))}
  return Examples(len(images), lambda batch_size: (
      {key: tf.constant(value[i:i + batch_size])
       for key, value in arrays.items()}
      for i in range(0, len(images), batch_size)))
