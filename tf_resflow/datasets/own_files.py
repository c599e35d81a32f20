"""Utilities for user-provided data: errors, statistics, held-out parts."""

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
# Errors of files that are truncated, encrypted, or not arrays or tables.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, csv.Error,
               zipfile.BadZipFile, zlib.error)
# Minimum number of examples for a density and a held-out part.
_MIN_EXAMPLES = 10
# Fraction of the examples that are held out if there is no test part.
_TEST_SHARE = 0.2
# Standard deviation over the largest value of a column: float32 has 7 digits.
_MIN_RELATIVE_STD = 1e-4
_LARGEST = 1e18
# Columns with fewer distinct values per row are considered discrete.
_MAX_SHARE_OF_VALUES = 0.1


def opener(prefix: str, expected: str) -> Callable[[Callable], Callable]:
  """Returns a decorator of a function that opens `--dataset=PREFIX:FILE`.

  A file is read again if it has changed, and a `FormatError` becomes an
  `InvalidValueError` of that flag.

  Args:
    prefix: Type of the data, such as 'table'.
    expected: Description of a valid file.
  """
  def decorate(function):
    read = functools.lru_cache(maxsize=8)(
      lambda path, *unused_state: function(path))

    @functools.wraps(function)
    def opened(path):
      with errors.refusing('dataset', f'{prefix}:{path}', expected):
        try:
          status = os.stat(path)
        except OSError:
          return function(path)  # Raises a clear error.
        return read(path, os.getcwd(), status.st_mtime_ns, status.st_size)

    return opened
  return decorate


@contextlib.contextmanager
def reading() -> Iterator[None]:
  """Converts errors of reading a file to `FormatError`."""
  try:
    yield
  except FileNotFoundError:
    raise errors.FormatError('There is no such file.') from None
  except IsADirectoryError:
    raise errors.FormatError(
      'It is a folder; use images:FOLDER.') from None
  except _UNREADABLE as error:
    reason = errors.sentence(error)
    if isinstance(error, UnicodeError):
      reason += ' Save it as UTF-8.'
    elif 'pickle.load' in reason:  # What NumPy advises is no advice here.
      reason = 'it is no file of numpy.save or numpy.savez.'
    raise errors.FormatError(f'It cannot be read: {reason}') from None


def fingerprint(*parts: Any) -> str:
  """Returns a digest of strings and arrays, 16 hexadecimal digits."""
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
  """Returns the means and standard deviations of the training columns.

  Args:
    names: Names of the D columns.
    train: `[N, D]`.
    test: `[M, D]`.
    has_density: Whether to warn of columns with an unbounded log-likelihood.

  Raises:
    FormatError: If a column cannot be learned in float32.
  """
  train, test = train.astype(np.float64), test.astype(np.float64)
  for name, column, others in zip(names, train.T, test.T, strict=True):
    largest = np.abs(np.concatenate([column, others])).max()
    std = column.std()
    errors.check_format(
      largest < _LARGEST, f'Column {name} reaches {largest:.3g}, whose square '
      'overflows in float32. Use other units.')
    errors.check_format(
      np.ptp(column) > 0, f'Column {name} has the value {column[0]:g} in all '
      'training rows: it has no density. Remove it.')
    errors.check_format(
      std > 1 / _LARGEST, f'Column {name} has standard deviation {std:.3g}, '
      'whose square underflows in float32. Use other units.')
    errors.check_format(
      std >= _MIN_RELATIVE_STD * np.abs(column).max(),
      f'Column {name} has standard deviation {std:.3g} around mean '
      f'{column.mean():.10g}, too small for float32. Subtract a constant.')
    num_values = len(np.unique(column))
    if has_density and num_values <= _MAX_SHARE_OF_VALUES * len(column):
      _logger.warning(
        'Column %s has only %d distinct values in %d rows: the likelihood is '
        'unbounded. Add noise as wide as its steps, or remove it.', name,
        num_values, len(column))
  mean, std = train.mean(axis=0), train.std(axis=0)
  if has_density and len(train) > len(names) > 1:
    smallest = np.linalg.svd((train - mean) / std, compute_uv=False)[-1]
    if smallest < _MIN_RELATIVE_STD * np.sqrt(len(train)):
      _logger.warning(
        'The columns are linearly dependent: the likelihood is unbounded. '
        'Remove one of them.')
  return tuple(mean.tolist()), tuple(std.tolist())


def split_order(num_examples: int) -> np.ndarray:
  """Returns the fixed order in which a data set without parts is split.

  Args:
    num_examples: Size of the data set.

  Returns:
    Permutation of `range(num_examples)`, int `[num_examples]`.
  """
  # Unlike `default_rng`, its stream never changes between versions of NumPy.
  return np.random.RandomState(0).permutation(num_examples)


def held_out(
  num_examples: int, noun: str = 'examples') -> dict[str, np.ndarray]:
  """Returns the indices of 'train' and 'test' examples, in random order.

  A fifth is held out. The split depends only on the number of examples, not on
  a seed, so that no run trains on test examples.

  Args:
    num_examples: Number of examples of the file.
    noun: Plural name of examples, for the message.

  Raises:
    FormatError: If there are too few.
  """
  errors.check_format(
    num_examples >= _MIN_EXAMPLES, f'It has {num_examples} {noun}; at least '
    f'{_MIN_EXAMPLES} are required.')
  num_test = round(_TEST_SHARE * num_examples)
  order = split_order(num_examples)
  return {'train': order[num_test:], 'test': order[:num_test]}
