"""Finds a data set, prepares it where that is possible, and opens a part."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import functools
import importlib
import io
import os
import textwrap

from absl import logging
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_resflow import errors
from tf_resflow.configuration import config as config_lib
from tf_resflow.datasets import catalog

SPLITS = ('train', 'validation', 'test')


class DatasetNotFoundError(errors.InvalidValueError):
  """A data set is not where it was looked for and cannot be put there."""


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSplit:
  """One part of an image data set, in a fixed order.

  Attributes:
    examples: `tf.data.Dataset` of dicts: `image` uint8 `[H, W, C]` with values
      0..num_levels-1, `label` int32 `[]`, -1 where the set has no labels.
    num_examples: How many there are.
    image_shape: `(H, W, C)`.
    num_levels: Number of grey levels n.
  """

  examples: tf.data.Dataset
  num_examples: int
  image_shape: tuple[int, int, int]
  num_levels: int

  @functools.cached_property
  def arrays(self) -> dict[str, tf.Tensor]:
    """All examples decoded in host memory: `image` `[N, H, W, C]`, `label`.

    Read at the first use and kept. Meant for sets that fit: 154 MB for
    CIFAR-10.
    """
    # init_scope: tensors, not graph nodes, also from within a tf.function.
    with tf.init_scope(), tf.device('/CPU:0'):
      return self.examples.batch(self.num_examples).get_single_element()

  def images_at(self, positions: Sequence[int]) -> np.ndarray:
    """Returns a few images; reads the part up to the last of them.

    Args:
      positions: Places in the order of the part, from 0 on.

    Returns:
      uint8 `[len(positions), H, W, C]`, in the given order.

    Raises:
      InvalidValueError: If a place is not in the part.
    """
    for position in positions:
      errors.check(
        0 <= position < self.num_examples, 'position', position,
        f'one of the {self.num_examples} places of this part, from 0 on',
      )
    found = {
      i: row['image'].numpy()
      for i, row in enumerate(self.examples.take(max(positions) + 1))
      if i in positions
    }
    return np.stack([found[i] for i in positions])


def load_split(
  config: config_lib.DataConfig,
  split: str,
  data_dir: str | os.PathLike | None = None,
) -> ImageSplit:
  """Opens one part of the data set of a run.

  Args:
    config: The data of the run.
    split: 'train', 'validation' or 'test'.
    data_dir: Folder of prepared data, by default that of the run.

  Returns:
    The part, as an `ImageSplit`.

  Raises:
    DatasetNotFoundError: If there are no prepared data.
    InvalidValueError: If there is no such part.
  """
  return load(
    config.dataset, split, data_dir=data_dir or config.data_dir,
    num_bits=config.num_bits, num_validation=config.num_validation,
    resize=config.resize,
  )


def load(
  name: str,
  split: str,
  *,
  data_dir: str | os.PathLike | None = None,
  num_bits: int = 8,
  num_validation: int = 0,
  resize: int | None = None,
) -> ImageSplit:
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

  Returns:
    The part, as an `ImageSplit`.

  Raises:
    DatasetNotFoundError: If there are no prepared data and they cannot be
      made.
    InvalidValueError: If an argument does not fit the data set.

  Example:
    >>> train = load('digits', 'train', data_dir='data')
    >>> train.num_examples, train.image_shape, train.num_levels
    (1437, (8, 8, 1), 17)
  """
  stored_facts = catalog.info(name)
  facts = stored_facts.changed(num_bits=num_bits, resize=resize)
  errors.check(split in SPLITS, 'split', split, f'one of {", ".join(SPLITS)}')
  errors.check(
    num_validation >= 0, 'num_validation', num_validation,
    'a whole number from 0',
  )
  errors.check(
    split != 'validation' or num_validation > 0, 'split', split,
    'another part where num_validation is 0',
    'Set num_validation to take that many from the end of the training part.',
  )
  part = 'test' if split == 'test' else 'train'
  stored, decode_fn, num_examples = (
    _open_arrays(stored_facts, part) if stored_facts.load_fn
    else _open_stored(stored_facts, part, data_dir)
  )
  num_train = num_examples - num_validation
  errors.check(
    part == 'test' or num_validation == 0 or num_train > 0, 'num_validation',
    num_validation, f'fewer than the {num_examples} training examples of {name}'
  )
  start, size = {
    'train': (0, num_train),
    'validation': (num_train, num_validation),
    'test': (0, num_examples),
  }[split]

  def finish(example):
    image = decode_fn(example['image'])
    label = example['label'] if facts.num_classes else -1
    if resize is not None:
      image = tf.image.resize(image, [resize, resize], antialias=True)
      image = tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)
    image = tf.ensure_shape(image, facts.image_shape)
    if num_bits < 8:
      image = tf.bitwise.right_shift(image, tf.cast(8 - num_bits, tf.uint8))
    return {'image': image, 'label': tf.cast(label, tf.int32)}

  return ImageSplit(
    examples=stored.skip(start).take(size).map(
      finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
    ),
    num_examples=size,
    image_shape=facts.image_shape,
    num_levels=facts.num_levels,
  )


def _open_arrays(
  facts: catalog.DatasetInfo, part: str
) -> tuple[tf.data.Dataset, Callable, int]:
  """Opens a part of a data set that a function loads as arrays.

  Returns:
    The part as it is stored, what decodes an image, and the number of examples.
  """
  images, labels = facts.load_fn(part)
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
    tf.data.Dataset.from_tensor_slices({'image': images, 'label': labels}),
    tf.identity, num_examples,
  )


def _open_stored(
  facts: catalog.DatasetInfo, part: str, data_dir: str | os.PathLike | None
) -> tuple[tf.data.Dataset, Callable, int]:
  """Opens a part of a data set that tfds knows, as `_open_arrays` does."""
  builder = _prepared_builder(facts, data_dir)
  stored = builder.as_dataset(
    split=facts.test_split if part == 'test' else facts.train_split,
    # Decoded after the examples of the other part are skipped.
    decoders={'image': tfds.decode.SkipDecoding()},
    shuffle_files=False,
    # One file after the other, so that the order is the stored one.
    read_config=tfds.ReadConfig(
      interleave_cycle_length=1, try_autocache=False
    ),
  )
  # Asked of the data rather than of the catalog, so that a set prepared in
  # part is noticed here and not as a missing batch in the middle of a run.
  num_examples = int(stored.cardinality())
  expected = facts.num_test if part == 'test' else facts.num_train
  # A builder without recorded splits serves generated stand-ins of any size.
  errors.check(
    not builder.info.splits or expected in (None, num_examples), 'data_dir',
    builder.data_dir, f'{expected} examples in the {part} part of '
    f'{facts.name}, not {num_examples}',
    'Delete that folder and prepare the data set again.',
  )
  return stored, builder.info.features['image'].decode_example, num_examples


def _prepared_builder(
  facts: catalog.DatasetInfo, data_dir: str | os.PathLike | None
) -> tfds.core.DatasetBuilder:
  """Returns a tfds builder whose data are on disk.

  Args:
    facts: The data set.
    data_dir: Folder given by the user, or None for that of tfds.

  Returns:
    The builder, prepared.

  Raises:
    DatasetNotFoundError: If the data are neither there nor to be made, or need
      a package that is not installed.
  """
  data_dir = None if data_dir is None else os.path.expanduser(data_dir)
  if facts.is_embedded:
    # Importing the module registers its builder with tfds.
    importlib.import_module(f'tf_resflow.datasets.{facts.name}')
  elif data_dir is not None and not tf.io.gfile.isdir(data_dir):
    raise _not_found(facts, data_dir, 'there is no such folder')
  # Preparing does nothing where that is done.
  try:
    with _quiet():
      builder = tfds.builder(facts.name, data_dir=data_dir)
      if facts.is_embedded:
        builder.download_and_prepare()
    if data_dir is None:
      builder.download_and_prepare()
  except ImportError as error:
    raise DatasetNotFoundError(
      'dataset', facts.name, f'the package {error.name} to be installed',
      f'Run `pip install {error.name}`.') from None
  except Exception as error:  # tfds documents no common error type.
    # Another process may have prepared the same folder meanwhile.
    with _quiet(), contextlib.suppress(Exception):
      builder = tfds.builder(facts.name, data_dir=data_dir)
      if builder.is_prepared():
        return builder
    raise _not_found(
      facts, data_dir,
      f'{type(error).__name__}: {textwrap.shorten(str(error), 300)}',
    ) from None
  if data_dir is not None and not builder.is_prepared():
    raise _not_found(facts, data_dir, f'nothing is in {builder.data_dir}')
  return builder


def _not_found(
  facts: catalog.DatasetInfo, data_dir: str | None, reason: str,
) -> DatasetNotFoundError:
  """Returns the error of missing data; says what the user can do."""
  advice = (
    'Give a folder that can be written to.' if facts.is_embedded
    else f'Run `tfds build {facts.name} --data_dir {data_dir or "DIR"}` on a '
    'machine with network, or give the folder that holds it.'
  )
  return DatasetNotFoundError(
    'data_dir', data_dir,
    f'a folder with the prepared data set {facts.name}, but {reason}',
    advice,
  )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences tfds where it has nothing to say to the user.

  It prints a notice, progress bars and a warning for every folder that it is
  about to create.
  """
  verbosity = logging.get_verbosity()
  logging.set_verbosity(logging.ERROR)
  try:
    with (
      contextlib.redirect_stdout(io.StringIO()),
      contextlib.redirect_stderr(io.StringIO()),
    ):
      yield
  finally:
    logging.set_verbosity(verbosity)
