"""Opening of the parts of a data set."""

import operator
import os
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.datasets import data_config
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import split as split_lib
from tf_resflow.datasets import stored_images

# Seeds of drawn points that are the same in every run; training points are
# drawn with the seed of the run.
_SEEDS = {'train': 2_147_483_001, 'validation': 2_147_483_002,
          'test': 2_147_483_003}


def open_split(
    name: str, split: str, *, data_dir: str | os.PathLike | None = None,
    **options: Any) -> split_lib.Split:
  """Opens one part of a data set; see `DatasetInfo.open`.

  Those of TFDS must be prepared in `data_dir`; without `data_dir`, TFDS uses
  its default folder and downloads missing data.

  Args:
    name: one of `datasets.names()`, or a file such as `table:FILE.csv`.
    split, data_dir: see `DatasetInfo.open`.
    **options: fields of `DataConfig`, such as `num_validation`, by default 0;
      `num_bits` below 8, by which images with 256 levels `X` become
      `floor(X / 2^(8 - num_bits))`; or `resize`, height and width to resize
      images to, bilinear with antialiasing, rounded to integer levels, before
      bits are reduced.

  Example:
    >>> train = open_split('digits', 'train', data_dir='data')
    >>> train.num_examples, train.event_shape, train.num_levels
    (1437, (8, 8, 1), 17)
  """
  config = data_config.DataConfig(
      dataset=name, **{'num_validation': 0, **options})
  return config.open().open(split, data_dir, int(config.num_validation))


def open_stored(
    info: Any, split: str,
    data_dir: str | os.PathLike | None, num_validation: int) -> split_lib.Split:
  """Opens a part of images or vectors; see `open_split`."""
  part = 'test' if split == 'test' else 'train'
  stored_info = (info.stored if info.is_image else None) or info
  stored, image_fn, num_examples = (
      _open_arrays(info, stored_info, part) if info.load_fn is not None else
      stored_images.open_part(stored_info, part, data_dir))
  # `num_examples` is that of the training part with validation, or of the test.
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
    label = tf.cast(example['label'] if info.num_classes else -1, tf.int32)
    if info.resize is not None:
      image = tf.image.resize(image, info.image_shape[:2], antialias=True)
      image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    image = tf.ensure_shape(image, info.image_shape)
    if num_halvings := (
        stored_info.num_levels // info.num_levels).bit_length() - 1:
      image = tf.bitwise.right_shift(image, tf.cast(num_halvings, tf.uint8))
    others = {key: example[key] for key in ('weight',) if key in example}
    if info.condition_labels is not None:
      others['condition'] = example.get('condition', label)
    return {'x': image, 'label': label, **others}

  if info.is_image:
    examples = split_lib.mapped(examples, finish)
  return split_lib.Split(examples, size, info.event_shape, info.num_levels,
                         num_condition_labels=info.condition_labels or 0)


def open_drawn(
    info: dataset_info.DrawnInfo, split: str, unused_data_dir: Any,
    num_validation: int) -> split_lib.Split:
  """Opens a part of a data set of random draws; see `open_split`.

  The training part has `num_train` fixed points for inspection, and `draw_fn`
  for training.
  """
  size = {'train': info.num_train, 'validation': num_validation,
          'test': info.num_test}[split]
  seed = tf.constant(_SEEDS[split], tf.int64)
  draw_fn: Any = info.draw_fn
  examples = split_lib.mapped(
      tf.data.Dataset.range(size), lambda index: split_lib.drawn(
          draw_fn, tf.stack([seed, index]), info.event_shape))
  return split_lib.Split(examples, size, info.event_shape, draw_fn=draw_fn)


def _open_arrays(info, stored_info, part):
  """Opens the arrays of `load_fn`, like `stored_images.open_part`."""
  def check(ok, name, found, expected):
    errors.check(ok, name, found, f'{expected} from load_fn of {info.name}')

  x, labels, *conditions = info.load_fn(part)
  found = f'{x.dtype} {list(x.shape)}'
  if stored_info.is_image:
    shape, highest = [len(x), *stored_info.event_shape], x.max(initial=0)
    check(x.dtype == np.uint8 and list(x.shape) == shape, 'images', found,
          f'uint8 {shape}')
    check(highest < stored_info.num_levels, 'images', highest,
          f'levels below {stored_info.num_levels}')
  else:
    check(x.dtype.kind == 'f' and x.shape[1:] == info.event_shape, 'x', found,
          f'finite floats [N, {info.event_size}]')
    info.check_rows(part, x)
    x = x.astype((info.schema and info.schema.dtype) or np.float32)
  labels = np.full([len(x)], -1) if labels is None else labels
  check(len(labels) == len(x), 'labels', len(labels), f'{len(x)} labels')
  arrays = {'x': x, 'label': np.asarray(labels, np.int32)}
  if info.condition_labels is not None:
    (condition,) = conditions or [labels]
    arrays['condition'] = np.asarray(
        condition, np.int32 if info.condition_labels else np.float32)
  if info.weights:
    arrays['weight'] = np.asarray(info.weights[part], np.float32)
  return (tf.data.Dataset.from_tensor_slices(arrays), operator.itemgetter('x'),
          len(x))
