"""What the reader's own data have in common: errors, and the held-out part."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import csv
import functools
import hashlib
import logging
import os
from typing import Any
import zipfile
import zlib

import numpy as np

from tf_resflow import errors

_logger = logging.getLogger(__name__)
# What is raised where a file is cut or encrypted, or no array or table.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, csv.Error,
               zipfile.BadZipFile, zlib.error)
# Examples that a density and a held-out part need at least.
_MIN_EXAMPLES = 10
# Share of the examples that are held out where the data name no test part.
_TEST_SHARE = 0.2
# Of the largest number of a column: float32 has 7 digits.
_MIN_RELATIVE_DEVIATION = 1e-4
_LARGEST = 1e18
# Of the rows: columns with fewer different values are taken for discrete.
_MAX_SHARE_OF_VALUES = 0.1


def opener(kind: str, expected: str) -> Callable[[Callable], Callable]:
  """Returns a decorator of a function that opens `--dataset=KIND:FILE`.

  A file is read again when it has changed, and a `FormatError` becomes an
  `InvalidValueError` of that flag.

  Args:
    kind: Of the data, such as 'table'.
    expected: What the file should be.
  """
  def decorate(function):
    read = functools.lru_cache(maxsize=8)(
      lambda path, *unused_state: function(path))

    @functools.wraps(function)
    def opened(path):
      with errors.refusing('dataset', f'{kind}:{path}', expected):
        try:
          status = os.stat(path)
        except OSError:
          return function(path)  # Which says what is wrong.
        return read(path, os.getcwd(), status.st_mtime_ns, status.st_size)

    return opened
  return decorate


@contextlib.contextmanager
def reading() -> Iterator[None]:
  """Inside, what is wrong with a file becomes a `FormatError` that says so."""
  try:
    yield
  except FileNotFoundError:
    raise errors.FormatError('There is no such file.') from None
  except IsADirectoryError:
    raise errors.FormatError(
      'It is a folder; images:FOLDER takes one.') from None
  except _UNREADABLE as error:
    advice = ' Save it as UTF-8.' if isinstance(error, UnicodeError) else ''
    raise errors.FormatError(f'It cannot be read: {error}.{advice}') from None


def fingerprint(*parts: Any) -> str:
  """Returns a digest of texts and arrays, 16 hexadecimal digits."""
  digest = hashlib.sha256()
  for part in parts:
    if isinstance(part, np.ndarray):
      digest.update(f'{part.dtype} {part.shape}'.encode())
      digest.update(np.ascontiguousarray(part).tobytes())
    else:
      digest.update(str(part).encode())
    digest.update(b'\0')
  return digest.hexdigest()[:16]


def standardisation(
  names: Sequence[str], train: np.ndarray, test: np.ndarray,
  has_density: bool = True) -> tuple[tuple[float, ...], tuple[float, ...]]:
  """Returns the mean and the standard deviation of the columns for training.

  Args:
    names: Of the columns, D.
    train: `[N, D]`.
    test: `[M, D]`.
    has_density: Whether to warn of columns on which nats can fall without a
      limit.

  Raises:
    FormatError: If a column cannot be learned in float32.
  """
  train, test = train.astype(np.float64), test.astype(np.float64)
  for name, column, others in zip(names, train.T, test.T, strict=True):
    largest = np.abs(np.concatenate([column, others])).max()
    std = column.std()
    errors.check_format(
      largest < _LARGEST, f'Column {name} reaches {largest:.3g}, beyond what '
      'float32 can square. Take other units.')
    errors.check_format(
      np.ptp(column) > 0, f'Column {name} has the value {column[0]:g} in all '
      'rows that train: it has no density. Leave it out.')
    errors.check_format(
      std > 1 / _LARGEST, f'Column {name} varies by {std:.3g}, less than '
      'float32 can square. Take other units.')
    errors.check_format(
      std >= _MIN_RELATIVE_DEVIATION * np.abs(column).max(),
      f'Column {name} varies by {std:.3g} around {column.mean():.10g}: '
      'float32 cannot tell its values apart. Subtract a constant.')
    num_values = len(np.unique(column))
    if has_density and num_values <= _MAX_SHARE_OF_VALUES * len(column):
      _logger.warning(
        'Column %s has %d different values in %d rows, so that a density can '
        'rise without limit there: add noise as wide as its steps, or leave '
        'it out.', name, num_values, len(column))
  mean, std = train.mean(axis=0), train.std(axis=0)
  if has_density and len(train) > len(names) > 1:
    smallest = np.linalg.svd((train - mean) / std, compute_uv=False)[-1]
    if smallest < _MIN_RELATIVE_DEVIATION * np.sqrt(len(train)):
      _logger.warning(
        'The columns depend on each other linearly, so that a density can '
        'rise without limit there: leave one of them out.')
  return tuple(mean.tolist()), tuple(std.tolist())


def split_order(num_examples: int) -> np.ndarray:
  """Returns the fixed order in which a set without parts is split.

  `RandomState` rather than `default_rng`: NumPy promises that its stream stays
  the same in every later version.

  Args:
    num_examples: Size of the whole set.

  Returns:
    Permutation of `range(num_examples)`, int `[num_examples]`.
  """
  return np.random.RandomState(0).permutation(num_examples)


def held_out(
  num_examples: int, noun: str = 'examples') -> dict[str, np.ndarray]:
  """Returns which examples are 'train' and which 'test', in random order.

  A fifth is held out. The choice depends on the number of the examples alone:
  no run and no seed changes it, so that nothing is tuned on what a test
  measures.

  Args:
    num_examples: Of the whole file.
    noun: What they are called, for the message.

  Raises:
    FormatError: If there are too few.
  """
  errors.check_format(
    num_examples >= _MIN_EXAMPLES, f'It has {num_examples} {noun}; a held-out '
    f'part needs {_MIN_EXAMPLES} at least.')
  num_test = round(_TEST_SHARE * num_examples)
  order = split_order(num_examples)
  return {'train': order[num_test:], 'test': order[:num_test]}
