"""Finds a data set and opens a part of it."""

from collections.abc import Sequence
import os

from tf_resflow import errors
from tf_resflow.configuration import config as config_lib
from tf_resflow.datasets import catalog
from tf_resflow.datasets import split as split_lib

SPLITS = ('train', 'validation', 'test')


def load_split(
  config: config_lib.DataConfig,
  split: str,
  data_dir: str | os.PathLike | None = None,
) -> split_lib.Split:
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
    resize=config.resize, condition=config.condition,
  )


def load(
  name: str,
  split: str,
  *,
  data_dir: str | os.PathLike | None = None,
  num_bits: int = 8,
  num_validation: int = 0,
  resize: int | None = None,
  condition: Sequence[str] = (),
) -> split_lib.Split:
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
      `DatasetInfo.conditioned`; nothing by default.

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
    info = info.conditioned(condition)
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
  return info.open(split, data_dir, num_validation)
