"""Images stored on disk: array files of benchmarks, or TFDS data sets."""

from collections.abc import Callable, Iterator
import contextlib
import io
import logging
import operator
import os
import pathlib
import textwrap
import zipfile

from absl import logging as absl_logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import user_files

_logger = logging.getLogger(__name__)


def open_part(
    info: dataset_info.ImageInfo, part: str, data_dir: str | os.PathLike | None
) -> tuple[tf.data.Dataset, Callable, int]:
  """Opens a part of a data set.

  If `data_dir` has the array files of the data set, they are read one after the
  other. An `.npy` file has images, uint8 `[n, H, W, C]` or `[n, C, H, W]`, and
  is memory-mapped. An `.npz` file has `data`, uint8 `[n, C H W]`, and `labels`,
  starting at 1. Otherwise TFDS opens the prepared data set, or prepares it.

  Returns:
    The stored part, 'train' or 'test', a function that maps an example to its
    image, and the number of examples.

  Raises:
    DatasetNotFoundError: if the data are not prepared and cannot be.
    InvalidValueError: if data are missing or a file is invalid.
  """
  expected = info.num_test if part == 'test' else info.num_train
  paths = [] if data_dir is None or part not in info.files else sorted(
      pathlib.Path(data_dir).expanduser().glob(info.files[part]),
      # batch_10 comes after batch_9.
      key=lambda path: (len(path.name), path.name))
  if not paths:
    return _open_prepared(info, part, data_dir, expected)
  num_examples = sum(_num_images(path, info) for path in paths)
  errors.check(
      num_examples == expected, 'data_dir', paths[0].parent,
      f'{expected} examples in the {part} part of {info.name}, not '
      f'{num_examples}', f'It has {", ".join(path.name for path in paths)}: '
      'check for missing or truncated files.')

  def rows() -> Iterator[dict]:
    for path in paths:
      for image, label in zip(*_read(path, info), strict=True):
        yield {'x': image, 'label': label}

  stored = tf.data.Dataset.from_generator(rows, output_signature={
      'x': tf.TensorSpec(info.image_shape, tf.uint8),
      'label': tf.TensorSpec([], tf.int32)})
  return stored, operator.itemgetter('x'), num_examples


def _num_images(path, info):
  """Returns the number of images in a file; reads only its header."""
  with (errors.format_errors('file', path, f'images of {info.name}'),
        user_files.reading()):
    if path.suffix == '.npy':
      array = np.load(path, mmap_mode='r')
      shape, dtype = array.shape, array.dtype
    else:
      with zipfile.ZipFile(path) as archive, archive.open('data.npy') as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
  height, width, channels = info.image_shape
  errors.check(
      dtype == np.uint8 and shape[1:] in (
          (height, width, channels), (channels, height, width),
          (channels * height * width,)), 'file', path,
      f'uint8 images {height} x {width} of {info.name}',
      f'Its array is {dtype} {list(shape)}.')
  return shape[0]


def _read(path, info):
  """Returns the images `[n, H, W, C]` and labels of a file."""
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


def _open_prepared(info, part, data_dir, expected):
  """Opens a part of a TFDS data set; see `open_part`."""
  builder = _prepared_builder(info, data_dir)
  stored = builder.as_dataset(
      split=info.test_split if part == 'test' else info.train_split,
      # Images are decoded after examples of the other part are skipped.
      decoders={'image': tfds.decode.SkipDecoding()},
      shuffle_files=False,
      # One file after the other keeps the stored order.
      read_config=tfds.ReadConfig(
          interleave_cycle_length=1, try_autocache=False))
  # The number in the data detects a partially prepared data set here, not in
  # the middle of a run.
  num_examples = int(stored.cardinality())
  # A builder without recorded splits serves generated data of any size.
  errors.check(
      not builder.info.splits or expected in (None, num_examples), 'data_dir',
      builder.data_dir, f'{expected} examples in the {part} part of '
      f'{info.name}, not {num_examples}',
      'Delete that folder and prepare the data set again.')
  decode = builder.info.features['image'].decode_example
  return stored, lambda example: decode(example['image']), num_examples


def _prepared_builder(info, data_dir):
  """Returns a TFDS builder with prepared data; see `open_part`."""
  data_dir = None if data_dir is None else os.path.expanduser(data_dir)
  # `download_and_prepare` does nothing for prepared data.
  try:
    with _quiet():
      builder = tfds.builder(info.name, data_dir=data_dir)
    if data_dir is None and not builder.is_prepared():
      _logger.info(
          'TFDS prepares %s in %s, and downloads missing data.', info.name,
          builder.data_dir)
      builder.download_and_prepare()
    if data_dir is None or builder.is_prepared():
      return builder
    reason = f'nothing is in {builder.data_dir}'
  except Exception as error:  # TFDS documents no common error type.
    reason = f'{type(error).__name__}: {textwrap.shorten(str(error), 300)}'
  # Another process may have prepared the same folder in the meantime.
  with _quiet(), contextlib.suppress(Exception):
    builder = tfds.builder(info.name, data_dir=data_dir)
    if builder.is_prepared():
      return builder
  raise _not_found(info, data_dir, reason) from None


def _not_found(info, data_dir, reason):
  """Returns the error for missing data, with advice."""
  folder = data_dir or 'DIR'
  advice = (f'Run `tfds build {info.name} --data_dir {folder}` on a machine '
            'with network access, or set the folder that has it.')
  if info.manual_file:
    advice = (f'First put {info.manual_file} (see {info.homepage}) into '
              f'{folder}/downloads/manual. {advice}')
  if info.files:
    advice += (f' Or put its files there: {", ".join(info.files.values())} '
               f'(see {info.homepage}).')
  return dataset_info.DatasetNotFoundError(
      'data_dir', data_dir,
      f'a folder with the prepared data set {info.name}, but {reason}',
      advice)


@contextlib.contextmanager
def _quiet():
  """Suppresses notices, progress bars and warnings of TFDS."""
  verbosity = absl_logging.get_verbosity()
  absl_logging.set_verbosity(absl_logging.ERROR)
  try:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO())):
      yield
  finally:
    absl_logging.set_verbosity(verbosity)
