"""Images in the array files that a benchmark is distributed as."""

from collections.abc import Callable, Iterator, Sequence
import glob
import os
import zipfile
import zlib

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.datasets import image_info


def find(
  info: image_info.ImageInfo, part: str, data_dir: str | os.PathLike | None
) -> list[str]:
  """Returns the files of a part in a folder, in order; none without them.

  Args:
    info: The data set.
    part: 'train' or 'test'.
    data_dir: The folder, or None.
  """
  if data_dir is None or part not in info.files:
    return []
  folder = os.path.expanduser(data_dir)
  # batch_10 comes behind batch_9.
  return sorted(
    glob.glob(os.path.join(glob.escape(folder), info.files[part])),
    key=lambda path: (len(path), path),
  )


def open_part(
  info: image_info.ImageInfo, part: str, paths: Sequence[str]
) -> tuple[tf.data.Dataset, Callable, int]:
  """Opens the files of a part; one after the other is in memory.

  An `.npy` file holds images, uint8 `[n, H, W, C]` or `[n, C, H, W]`; it is
  read as it is needed. An `.npz` file holds `data`, uint8 `[n, C H W]`, and
  `labels`, from 1 on.

  Args:
    info: The data set.
    part: 'train' or 'test'.
    paths: Of its files.

  Returns:
    See `tfds_images.open_part`.

  Raises:
    InvalidValueError: If a file holds something else, or images are missing.
  """
  num_examples = sum(_num_images(path, info) for path in paths)
  expected = info.num_test if part == 'test' else info.num_train
  errors.check(
    num_examples == expected, 'data_dir', os.path.dirname(paths[0]),
    f'{expected} examples in the {part} part of {info.name}, not '
    f'{num_examples}', f'It has {", ".join(map(os.path.basename, paths))}: '
    'look which are missing or cut.',
  )

  def rows() -> Iterator[dict]:
    for path in paths:
      images, labels = _read(path, info)
      for i in range(len(images)):
        yield {'image': images[i], 'label': labels[i]}

  stored = tf.data.Dataset.from_generator(rows, output_signature={
    'image': tf.TensorSpec(info.image_shape, tf.uint8),
    'label': tf.TensorSpec([], tf.int32),
  })
  return stored, tf.identity, num_examples


def _num_images(path, info):
  """Returns how many images a file has; reads its head only."""
  try:
    if path.endswith('.npy'):
      array = np.load(path, mmap_mode='r')
      shape, dtype = array.shape, array.dtype
    else:
      with zipfile.ZipFile(path) as archive, archive.open('data.npy') as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = (
          np.lib.format.read_array_header_1_0 if version == (1, 0)
          else np.lib.format.read_array_header_2_0
        )(file)
  except (OSError, ValueError, KeyError, EOFError, NotImplementedError,
          zipfile.BadZipFile, zlib.error) as error:
    raise errors.InvalidValueError(
      'file', path, f'images of {info.name}', f'It cannot be read: {error}.'
    ) from None
  height, width, channels = info.image_shape
  errors.check(
    shape[1:] in (
      (height, width, channels), (channels, height, width),
      (channels * height * width,),
    ), 'file', path, f'images {height} x {width} of {info.name}',
    f'Its array is {list(shape)}.',
  )
  errors.check(
    dtype == np.uint8, 'file', path, f'uint8 images of {info.name}',
    f'Its array is {dtype}.',
  )
  return shape[0]


def _read(path, info):
  """Returns images `[n, H, W, C]` and labels of one file."""
  height, width, channels = info.image_shape
  if path.endswith('.npy'):
    images, labels = np.load(path, mmap_mode='r'), None
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
