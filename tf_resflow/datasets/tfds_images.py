"""Images that tfds prepares, or finds prepared."""

from collections.abc import Callable, Iterator
import contextlib
import importlib
import io
import logging
import os
import textwrap

from absl import logging as absl_logging
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_resflow import errors
from tf_resflow.datasets import dataset_info

_logger = logging.getLogger(__name__)


class DatasetNotFoundError(errors.InvalidValueError):
  """A data set is not where it was looked for and cannot be put there."""


def open_part(
  facts: dataset_info.ImageInfo, part: str, data_dir: str | os.PathLike | None
) -> tuple[tf.data.Dataset, Callable, int]:
  """Opens a part of a data set that tfds knows.

  Args:
    facts: The data set as it is stored.
    part: 'train' or 'test'.
    data_dir: See `datasets.load`.

  Returns:
    The part as it is stored, what takes the image out of an example, and the
    number of examples.

  Raises:
    DatasetNotFoundError: If there are no prepared data and they cannot be made.
    InvalidValueError: If some of them are missing.
  """
  builder = _prepared_builder(facts, data_dir)
  stored = builder.as_dataset(
    split=facts.test_split if part == 'test' else facts.train_split,
    # Decoded after the examples of the other part are skipped.
    decoders={'image': tfds.decode.SkipDecoding()},
    shuffle_files=False,
    # One file after the other, so that the order is the stored one.
    read_config=tfds.ReadConfig(
      interleave_cycle_length=1, try_autocache=False))
  # Asked of the data rather than of the catalog, so that a set prepared in
  # part is noticed here and not as a missing batch in the middle of a run.
  num_examples = int(stored.cardinality())
  expected = facts.num_test if part == 'test' else facts.num_train
  # A builder without recorded splits serves generated stand-ins of any size.
  errors.check(
    not builder.info.splits or expected in (None, num_examples), 'data_dir',
    builder.data_dir, f'{expected} examples in the {part} part of '
    f'{facts.name}, not {num_examples}',
    'Delete that folder and prepare the data set again.')
  decode = builder.info.features['image'].decode_example
  return stored, lambda example: decode(example['image']), num_examples


def _prepared_builder(
  facts: dataset_info.ImageInfo, data_dir: str | os.PathLike | None
) -> tfds.core.DatasetBuilder:
  """Returns a tfds builder whose data are on disk, see `open_part`."""
  data_dir = None if data_dir is None else os.path.expanduser(data_dir)
  if facts.is_embedded:
    # Importing the module registers its builders with tfds.
    importlib.import_module('tf_resflow.datasets.embedded')
  elif data_dir is not None and not tf.io.gfile.isdir(data_dir):
    raise _not_found(facts, data_dir, 'there is no such folder')
  # Preparing does nothing where that is done.
  try:
    with _quiet():
      builder = tfds.builder(facts.name, data_dir=data_dir)
      if facts.is_embedded:
        builder.download_and_prepare()
    if data_dir is None and not builder.is_prepared():
      _logger.info(
        'TFDS prepares %s in %s, and downloads what it needs.', facts.name,
        builder.data_dir)
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
  facts: dataset_info.ImageInfo, data_dir: str | None, reason: str,
) -> DatasetNotFoundError:
  """Returns the error of missing data; says what the user can do."""
  advice = (
    'Give a folder that can be written to.' if facts.is_embedded
    else f'Run `tfds build {facts.name} --data_dir {data_dir or "DIR"}` on a '
    'machine with network, or give the folder that holds it.')
  if facts.manual_file:
    folder = data_dir or 'DIR'
    advice = (
      f'Make {facts.manual_file} as {facts.homepage} says, put it into '
      f'{folder}/downloads/manual, run `tfds build {facts.name} --data_dir '
      f'{folder}`, and give --data_dir={folder}.')
  if facts.files:
    advice += (
      f' Or put its files there: {", ".join(facts.files.values())} '
      f'(see {facts.homepage}).')
  return DatasetNotFoundError(
    'data_dir', data_dir,
    f'a folder with the prepared data set {facts.name}, but {reason}',
    advice)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Silences tfds where it has nothing to say to the user.

  It prints a notice, progress bars and a warning for every folder that it is
  about to create.
  """
  verbosity = absl_logging.get_verbosity()
  absl_logging.set_verbosity(absl_logging.ERROR)
  try:
    with (
      contextlib.redirect_stdout(io.StringIO()),
      contextlib.redirect_stderr(io.StringIO())):
      yield
  finally:
    absl_logging.set_verbosity(verbosity)
