"""Finds a data set and opens a part of it."""

from collections.abc import Sequence
import operator
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.configuration import run_config as config_lib
from tf_resflow.datasets import catalog
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import split as split_lib
from tf_resflow.datasets import stored_images

# The parts, and seeds of those whose points are drawn but the same in every
# run. A run's own seed draws those that it trains on.
_SEEDS = {'train': 2_147_483_001, 'validation': 2_147_483_002,
          'test': 2_147_483_003}


def load_split(
  config: config_lib.DataConfig, split: str,
  data_dir: str | os.PathLike | None = None) -> split_lib.Split:
  """Opens one part of the data set of a run.

  Args:
    config: The data of the run.
    split: 'train', 'validation' or 'test'.
    data_dir: Folder of prepared data, by default that of the run.

  Returns:
    The part, as a `Split`.

  Raises:
    DatasetNotFoundError: If there are no prepared data.
    InvalidValueError: If there is no such part.
  """
  return load(
    config.dataset, split, data_dir=data_dir or config.data_dir,
    num_bits=config.num_bits, num_validation=config.num_validation,
    resize=config.resize, condition=config.condition)


def load(
  name: str, split: str, *, data_dir: str | os.PathLike | None = None,
  num_bits: int = 8, num_validation: int = 0, resize: int | None = None,
  condition: Sequence[str] = ()) -> split_lib.Split:
  """Opens one part of a data set.

  The validation part is the last `num_validation` examples of the training
  part, which then lacks them; the test part never changes.

  Sets that an installed package holds (`digits`, `mnist5k`) are prepared on
  first use, and `data_dir` is created where it is absent. The others must lie
  prepared in `data_dir`; without `data_dir`, tfds uses its default folder and
  downloads what is missing there.

  Args:
    name: One of `datasets.names()`.
    split: 'train', 'validation' or 'test'.
    data_dir: Folder that holds prepared data, as `tfds build` writes it.
    num_bits: Bits per pixel and channel, 1..8. Below 8, `X` becomes
      `floor(X / 2^(8 - num_bits))` with `2^num_bits` levels; only for sets of
      256 levels.
    num_validation: Size of the validation part.
    resize: Height and width to resize the images to, bilinear with
      antialiasing, rounded to whole levels; before bits are reduced.
    condition: What examples come with as a condition of `p(x|c)`, see
      `DatasetInfo.with_condition`; nothing by default.

  Returns:
    The part, as a `Split`.

  Raises:
    DatasetNotFoundError: If there are no prepared data and they cannot be
      made.
    InvalidValueError: If an argument does not fit the data set.

  Example:
    >>> train = load('digits', 'train', data_dir='data')
    >>> train.num_examples, train.event_shape, train.num_levels
    (1437, (8, 8, 1), 17)
  """
  info = catalog.info(name).changed(num_bits=num_bits, resize=resize)
  if condition:
    info = info.with_condition(condition)
  errors.check(split in _SEEDS, 'split', split, f'one of {", ".join(_SEEDS)}')
  errors.check(
    num_validation >= 0, 'num_validation', num_validation,
    'a whole number from 0')
  errors.check(
    split != 'validation' or num_validation > 0, 'split', split,
    'another part where num_validation is 0',
    'Set num_validation to take that many from the end of the training part.')
  return info.open(split, data_dir, num_validation)


def open_stored(
  info: dataset_info.DatasetInfo, split: str,
  data_dir: str | os.PathLike | None, num_validation: int) -> split_lib.Split:
  """Opens a part of images or vectors; see `load`.

  Images that are made of others, see `ImageInfo.changed`, are resized first,
  bilinearly with antialiasing, and rounded to whole levels; then bits are
  reduced.
  """
  part = 'test' if split == 'test' else 'train'
  is_image = info.num_levels is not None
  stored_info = (is_image and info.stored) or info
  stored, image_fn, num_examples = (
    _open_arrays(info, stored_info, part) if info.load_fn is not None else
    stored_images.open_part(stored_info, part, data_dir))
  # Of the training part with validation, or of the test part.
  num_train = num_examples - num_validation
  errors.check(
    split == 'test' or num_validation == 0 or num_train > 0, 'num_validation',
    num_validation,
    f'fewer than the {num_examples} training examples of {info.name}')
  start, size = {
    'train': (0, num_train), 'validation': (num_train, num_validation),
    'test': (0, num_examples)}[split]
  examples = stored.skip(start).take(size)

  def finish(example):
    image = image_fn(example)
    label = example['label'] if info.num_classes else -1
    if info.resize is not None:
      image = tf.image.resize(image, info.image_shape[:2], antialias=True)
      image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    image = tf.ensure_shape(image, info.image_shape)
    if num_halvings := (
        stored_info.num_levels // info.num_levels).bit_length() - 1:
      image = tf.bitwise.right_shift(image, tf.cast(num_halvings, tf.uint8))
    return {
      'x': image, 'label': tf.cast(label, tf.int32),
      **{key: example[key] for key in ('condition',) if key in example}}

  if is_image:
    examples = examples.map(
      tf.autograph.experimental.do_not_convert(finish),
      num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
  return split_lib.Split(examples, size, info.event_shape, info.num_levels)


def open_drawn(
  info: dataset_info.DrawnInfo, split: str, unused_data_dir: Any,
  num_validation: int) -> split_lib.Split:
  """Opens a part of a data set that is drawn; see `load`.

  The training part has `num_train` fixed points for those who want to look at
  some, and `draw_fn` for those who train.
  """
  size = {'train': info.num_train, 'validation': num_validation,
          'test': info.num_test}[split]
  seed = tf.constant(_SEEDS[split], tf.int64)
  first = info.draw_fn(tf.stack([seed, 0]))
  errors.check(
    (first.dtype, first.shape) == (tf.float32, info.event_shape), 'x',
    f'{first.dtype.name} {first.shape}',
    f'float32 {list(info.event_shape)} of draw_fn of {info.name}')

  def example(index):
    x = info.draw_fn(tf.stack([seed, index]))
    return {
      'x': tf.ensure_shape(x, info.event_shape),
      'label': tf.constant(-1, tf.int32)}

  return split_lib.Split(
    tf.data.Dataset.range(size).map(
      tf.autograph.experimental.do_not_convert(example),
      num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ), size, info.event_shape, draw_fn=info.draw_fn)


def _open_arrays(info, stored_info, part):
  """Opens what `load_fn` loads, as `stored_images.open_part` does others."""
  x, labels, *conditions = info.load_fn(part)
  if stored_info.num_levels is None:
    errors.check(
      np.issubdtype(x.dtype, np.floating) and x.shape[1:] == info.event_shape
      and np.all(np.isfinite(x)), 'x', f'{x.dtype} {list(x.shape)}',
      f'finite floats [N, {info.event_size}] of load_fn of {info.name}')
    x = x.astype(np.float32)
  else:
    expected = (len(x), *stored_info.event_shape)
    errors.check(
      x.dtype == np.uint8 and x.shape == expected, 'images',
      f'{x.dtype} {list(x.shape)}',
      f'uint8 {list(expected)} of load_fn of {info.name}')
    errors.check(
      x.max(initial=0) < stored_info.num_levels, 'images', x.max(initial=0),
      f'levels below {stored_info.num_levels} of load_fn of {info.name}')
  labels = np.full([len(x)], -1) if labels is None else labels
  errors.check(
    len(labels) == len(x), 'labels', len(labels),
    f'{len(x)} labels of load_fn of {info.name}')
  arrays = {'x': x, 'label': np.asarray(labels, np.int32)}
  if info.condition is not None and not info.condition.is_label:
    (condition,) = conditions
    arrays['condition'] = condition.astype(
      np.int32 if info.condition.num_labels else np.float32)
  return (tf.data.Dataset.from_tensor_slices(arrays), operator.itemgetter('x'),
          len(x))
