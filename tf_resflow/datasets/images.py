"""Opens a part of a data set of images."""

from collections.abc import Callable
import os

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.datasets import image_files
from tf_resflow.datasets import image_info
from tf_resflow.datasets import split as split_lib
from tf_resflow.datasets import tfds_images


def open_split(
  info: image_info.ImageInfo, split: str,
  data_dir: str | os.PathLike | None, num_validation: int,
) -> split_lib.Split:
  """Opens a part of a data set of images; see `datasets.load`.

  Images that are made of others, see `ImageInfo.changed`, are resized first,
  bilinearly with antialiasing, and rounded to whole levels; then bits are
  reduced.
  """
  stored_info = info.stored or info
  part = 'test' if split == 'test' else 'train'
  if stored_info.load_fn is not None:
    stored, decode_fn, num_examples = _open_arrays(
      stored_info, part, info)
  elif paths := image_files.find(stored_info, part, data_dir):
    stored, decode_fn, num_examples = image_files.open_part(
      stored_info, part, paths
    )
  else:
    stored, decode_fn, num_examples = tfds_images.open_part(
      stored_info, part, data_dir
    )
  examples, size = split_lib.take_part(
    stored, num_examples, split, num_validation, info.name
  )
  num_halvings = (stored_info.num_levels // info.num_levels).bit_length() - 1

  def finish(example):
    image = decode_fn(example['image'])
    label = example['label'] if info.num_classes else -1
    if info.resize is not None:
      image = tf.image.resize(image, info.image_shape[:2], antialias=True)
      image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    image = tf.ensure_shape(image, info.image_shape)
    if num_halvings:
      image = tf.bitwise.right_shift(image, tf.cast(num_halvings, tf.uint8))
    return {
      'x': image, 'label': tf.cast(label, tf.int32),
      **{key: example[key] for key in ('condition',) if key in example},
    }

  return split_lib.Split(
    examples=examples.map(
      tf.autograph.experimental.do_not_convert(finish),
      num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ),
    num_examples=size,
    event_shape=info.image_shape,
    num_levels=info.num_levels,
  )


def _open_arrays(
  facts: image_info.ImageInfo, part: str, info: image_info.ImageInfo
) -> tuple[tf.data.Dataset, Callable, int]:
  """Opens a part of a data set that a function loads as arrays.

  Returns:
    The part as it is stored, what decodes an image, and the number of examples.
  """
  # Those of `info` come with conditions, where a model takes some.
  images, labels, *others = info.load_fn(part)
  num_examples = len(images)
  labels = np.full([num_examples], -1) if labels is None else labels
  expected = (num_examples, *facts.image_shape)
  errors.check(
    images.dtype == np.uint8 and images.shape == expected, 'images',
    f'{images.dtype} {list(images.shape)}',
    f'uint8 {list(expected)} of load_fn of {facts.name}',
  )
  errors.check(
    len(labels) == num_examples, 'labels', len(labels),
    f'{num_examples} labels of load_fn of {facts.name}',
  )
  errors.check(
    images.max(initial=0) < facts.num_levels, 'images', images.max(initial=0),
    f'levels below {facts.num_levels} of load_fn of {facts.name}',
  )
  return (
    tf.data.Dataset.from_tensor_slices({
      'image': images, 'label': labels,
      **split_lib.conditions_of(info, others),
    }),
    tf.identity, num_examples,
  )
