"""Images in the array files that a benchmark is distributed as."""

from collections.abc import Callable, Iterator
import operator
import os
import pathlib
import zipfile

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files


def open_part(
  info: dataset_info.ImageInfo, part: str, data_dir: str | os.PathLike | None,
) -> tuple[tf.data.Dataset, Callable, int] | None:
  """Opens the files of a part; one after the other is in memory.

  An `.npy` file holds images, uint8 `[n, H, W, C]` or `[n, C, H, W]`; it is
  read as it is needed. An `.npz` file holds `data`, uint8 `[n, C H W]`, and
  `labels`, from 1 on.

  Args:
    info: The data set.
    part: 'train' or 'test'.
    data_dir: The folder of the files, or None.

  Returns:
    See `tfds_images.open_part`; None where there are no files.

  Raises:
    InvalidValueError: If a file holds something else, or images are missing.
  """
  if data_dir is None or part not in info.files:
    return None
  # batch_10 comes behind batch_9.
  paths = sorted(
    pathlib.Path(data_dir).expanduser().glob(info.files[part]),
    key=lambda path: (len(path.name), path.name))
  if not paths:
    return None
  num_examples = sum(_num_images(path, info) for path in paths)
  expected = info.num_test if part == 'test' else info.num_train
  errors.check(
    num_examples == expected, 'data_dir', paths[0].parent,
    f'{expected} examples in the {part} part of {info.name}, not '
    f'{num_examples}', f'It has {", ".join(path.name for path in paths)}: '
    'look which are missing or cut.')

  def rows() -> Iterator[dict]:
    for path in paths:
      for image, label in zip(*_read(path, info), strict=True):
        yield {'x': image, 'label': label}

  stored = tf.data.Dataset.from_generator(rows, output_signature={
    'x': tf.TensorSpec(info.image_shape, tf.uint8),
    'label': tf.TensorSpec([], tf.int32)})
  return stored, operator.itemgetter('x'), num_examples


def _num_images(path, info):
  """Returns how many images a file has; reads its head only."""
  with (errors.refusing('file', path, f'images of {info.name}'),
        own_files.reading()):
    if path.suffix == '.npy':
      array = np.load(path, mmap_mode='r')
      shape, dtype = array.shape, array.dtype
    else:
      with zipfile.ZipFile(path) as archive, archive.open('data.npy') as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
  height, width, channels = info.image_shape
  errors.check(
    shape[1:] in (
      (height, width, channels), (channels, height, width),
      (channels * height * width,),
    ), 'file', path, f'images {height} x {width} of {info.name}',
    f'Its array is {list(shape)}.')
  errors.check(
    dtype == np.uint8, 'file', path, f'uint8 images of {info.name}',
    f'Its array is {dtype}.')
  return shape[0]


def _read(path, info):
  """Returns images `[n, H, W, C]` and labels of one file."""
  height, width, channels = info.image_shape
  labels = None
  if path.suffix == '.npy':
    images = np.load(path, mmap_mode='r')
  else:
    with np.load(path) as arrays:
      images = arrays['data']
      labels = arrays['labels'] - 1 if info.num_classes else None
  if images.ndim == 2:
    images = images.reshape([-1, channels, height, width])
  if images.shape[1:] == (channels, height, width):
    images = np.moveaxis(images, 1, 3)
  if labels is None:
    labels = np.full([len(images)], -1)
  return images, labels.astype(np.int32)
