"""Utilities for user-provided data: errors, statistics, held-out parts."""

from collections.abc import Callable, Collection, Iterator, Sequence
import contextlib
import csv
import functools
import glob
import hashlib
import logging
import os
import re
import stat
from typing import Any
import zipfile
import zlib

import numpy as np

from tf_resflow import errors
from tf_resflow.specs import column_types
from tf_resflow.specs import machine

_logger = logging.getLogger(__name__)
# Errors of files that are truncated, encrypted, or not arrays or tables.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, csv.Error,
               zipfile.BadZipFile, zlib.error)
# Bound of what an archive may hold.
MAX_ARRAY_BYTES = 16 * 2**30
# An archive expands by less than this factor, up to a size that is no harm.
_MAX_EXPANSION, _MIN_BOMB_BYTES = 200, 2**30
# Minimum number of examples for a density and a held-out part.
MIN_EXAMPLES = 10
# Fraction of the examples that are held out if there is no test part.
TEST_SHARE = 0.2
# Standard deviation over the largest value of a column: float32 has 7 digits.
_MIN_RELATIVE_STD = 1e-4
_LARGEST = 1e18
# What files have in place of missing values.
_MISSING = {-1, -9, -99, -999, -9999, 999, 9999, 99999, 2**31 - 1, -2**31}
# Whole numbers that are better a condition have at most so many values.
_FEW_VALUES = 6
# Columns with fewer distinct values per row are considered discrete.
_MAX_SHARE_OF_VALUES = 0.1


def opener(
  prefix: str, expected: str, files: Sequence[str] = (),
) -> Callable[[Callable], Callable]:
  """Returns a decorator of a function that opens `--dataset=PREFIX:FILE`.

  A file, or a folder, is read again if it or a file in it has changed. A
  `FormatError`, also of `reading` or `check_finite`, and errors of reading
  become an `InvalidValueError` of that flag. Options of the function are
  keywords.

  Args:
    prefix: Type of the data, such as 'table'.
    expected: Description of a valid file.
    files: Names of options that are paths of further files.
  """
  def decorate(function):
    read = functools.lru_cache(maxsize=8)(
      lambda path, options, *unused_state: function(path, **dict(options)))

    @functools.wraps(function)
    def opened(path, **options):
      options = {name: tuple(value) if isinstance(value, list) else value
                 for name, value in options.items()}
      paths = [path, *filter(None, map(options.get, files))]
      with errors.refusing('dataset', f'{prefix}:{path}', expected):
        try:
          return read(
            path, tuple(options.items()), os.getcwd(), *map(_state, paths))
        except errors.InvalidValueError:
          raise
        except (OSError, ValueError) as error:
          with reading():
            raise error

    return opened
  return decorate


def _state(path):
  """Returns the state of a file, or of a folder and all files below it.

  Of one that cannot be read it is a new one every time.
  """
  try:
    files = [path, *(files_below(path) if os.path.isdir(path) else ())]
    return tuple((file, (state := os.stat(file)).st_mtime_ns, state.st_size)
                 for file in files)
  except OSError:
    return object()


def files_below(root: str) -> Iterator[str]:
  """Yields the paths of files in a folder and its subfolders, but hidden ones.

  Raises:
    OSError: If a folder cannot be read.
  """
  def fail(error):
    raise error

  seen = set()
  for folder, folders, names in os.walk(root, onerror=fail, followlinks=True):
    seen.add(os.path.realpath(folder))
    # Avoids cycles of symbolic links.
    folders[:] = sorted(
      f for f in folders if not f.startswith('.')
      and os.path.realpath(os.path.join(folder, f)) not in seen)
    yield from (os.path.join(folder, name) for name in sorted(names))


def check_regular(path: str | os.PathLike) -> None:
  """Raises `FormatError` unless a path is that of a local file, no pipe."""
  errors.check_format(
    not re.match('[A-Za-z][A-Za-z0-9+.-]*://', os.fspath(path)),
    'It is a URL; download the file first.')
  with reading():
    mode = os.stat(path).st_mode
  errors.check_format(
    not stat.S_ISDIR(mode), 'It is a folder; use images:FOLDER.')
  errors.check_format(
    stat.S_ISREG(mode), 'It is a pipe or a device, not a file.')


def check_archive(path: str | os.PathLike, max_bytes: int) -> None:
  """Raises `FormatError` if a zip archive is damaged or would expand too far.

  `max_bytes` is the largest size of all members, uncompressed; less where the
  memory is less or the archive is small. One that is not compressed may be
  larger.
  """
  with reading(), zipfile.ZipFile(path) as archive:
    size = sum(member.file_size for member in archive.infolist())
  _check_size(path, size, min(
    max_bytes, _MIN_BOMB_BYTES + _MAX_EXPANSION * os.path.getsize(path)))


def check_columns(path: str | os.PathLike) -> None:
  """Raises `FormatError` as `check_archive`, of .parquet or .feather files."""
  from pyarrow import dataset
  from pyarrow import parquet

  with reading(), open(path, 'rb') as file:
    if os.fspath(path).lower().endswith('.parquet'):
      found = parquet.read_metadata(file)
      groups = map(found.row_group, range(found.num_row_groups))
      size = max(8 * found.num_rows * found.num_columns,
                 sum(group.total_byte_size for group in groups))
    elif file.read(4) == b'FEA1':  # Of before 2020, not compressed.
      return
    else:
      table = dataset.IpcFileFormat().make_fragment(file)
      size = 8 * table.count_rows() * len(table.physical_schema)
  _check_size(path, size, MAX_ARRAY_BYTES)


def _check_size(path, size, max_bytes):
  limit = max(
    os.path.getsize(path), min(max_bytes, machine.memory_bytes() or max_bytes))
  errors.check_format(
    size <= limit, f'It expands to {size / 2**30:.3g} GiB; at most '
    f'{limit / 2**30:.3g} GiB are read of a file of this size.')


def read_arrays(
  path: str | os.PathLike, keys: Collection[str] | None = None,
) -> dict[str, Any]:
  """Reads the arrays of an .npz file, or the one of an .npy file as `x`.

  Those that are not among `keys`, if any, are None.

  Raises:
    FormatError: If there is no such file, or it is damaged, or has objects.
  """
  check_regular(path)
  if zipfile.is_zipfile(path):
    check_archive(path, MAX_ARRAY_BYTES)
  with reading():
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
      return {'x': loaded}
    with loaded:
      arrays = {
        key: loaded[key] if keys is None or key in keys else None
        for key in loaded.files}
  for key, array in arrays.items():
    errors.check_format(
      array is None or isinstance(array, np.ndarray),
      f'Its {key} is not an array.')
  return arrays


@contextlib.contextmanager
def reading(file: str | os.PathLike = '') -> Iterator[None]:
  """Inside, errors of reading a file become a `FormatError`, in one line.

  Args:
    file: Name of the file, if the error is to name it: one of a folder.

  Example:
    >>> with reading('missing.npy'):
    ...   rows = np.load('missing.npy')
    Traceback (most recent call last):
    tf_resflow.errors.FormatError: missing.npy: There is no such file.
  """
  try:
    yield
    return
  except FileNotFoundError as error:
    folder, name = os.path.split(error.filename or '')
    guess = errors.did_you_mean(name, glob.glob('*', root_dir=folder or '.'))
    reason = f'There is no such file. {guess}'.strip()
  except errors.FormatError as error:
    reason = str(error)
  except MemoryError:
    reason = 'It is too large for the memory.'
  except _UNREADABLE as error:
    reason = errors.sentence(error)
    if isinstance(error, UnicodeError):
      reason += ' Save it as UTF-8.'
    elif 'pickle.load' in reason:  # What NumPy advises is no advice here.
      reason = 'it is no file of numpy.save or numpy.savez.'
    reason = f'It cannot be read: {reason}'
  raise errors.FormatError(f'{os.fspath(file)}: {reason}' if file else reason)


def check_finite(
  values: np.ndarray, columns: Sequence[str] = (), what: str = 'It') -> None:
  """Raises `FormatError` that names the first NaN or infinity.

  Args:
    values: `[N]` or `[N, D]`; rows count from 0.
    columns: Names of the D columns, or none.
    what: Subject of the message.
  """
  wrong = np.argwhere(~np.isfinite(values))
  for place in wrong[:1]:
    row, *column = place
    names = columns or range(values.shape[-1])
    raise errors.FormatError(
      f'{what} has {len(wrong)} values that are not finite, the first in row '
      f'{row}' + ''.join(f', column {names[i]}' for i in column) +
      f' ({values[tuple(place)]}).')


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


def column_problem(train: np.ndarray, test: np.ndarray) -> str:
  """Returns why a column, float64, cannot be learned in float32, or ''.

  Example:
    >>> column_problem(np.ones(8), np.ones(2))
    'has the value 1 in all training rows: it has no density'
  """
  largest, std = np.abs(np.concatenate([train, test])).max(), train.std()
  if np.ptp(train) == 0:
    return f'has the value {train[0]:g} in all training rows: it has no density'
  if largest >= _LARGEST or std <= 1 / _LARGEST:
    return (f'reaches {largest:.3g} with standard deviation {std:.3g}, whose '
            'square float32 does not have; use other units')
  if std < _MIN_RELATIVE_STD * np.abs(train).max():
    return (f'has standard deviation {std:.3g} around mean {train.mean():.10g},'
            ' too small for float32; subtract a constant')
  return ''


def moments(train: np.ndarray) -> dict[str, Any]:
  """Returns the mean and standard deviation (std) of columns `[N, D]`."""
  return {'mean': tuple(train.mean(axis=0).tolist()),
          'std': tuple(train.std(axis=0).tolist())}


def _far_value(column: np.ndarray) -> tuple[float, ...]:
  """Returns a repeated or usual value further off than all others are wide."""
  for value in (column.min(), column.max()):
    others = column[column != value]
    count = len(column) - len(others)
    if (len(np.unique(others)) > 4 and (value in _MISSING or count > 2) and
        np.abs(others - value).min() > np.ptp(others)):
      return value, count, len(column), others.min(), others.max()
  return ()


def warn_of_density(
  names: Sequence[str], train: np.ndarray, types: Sequence[str] = ()) -> None:
  """Warns of modelled columns that are better no density.

  Of those for which the likelihood is unbounded, and of few whole numbers.

  Args:
    names: Names of the D columns.
    train: `[N, D]`.
    types: Specs of their `ColumnType`, or none if all are real numbers.
  """
  columns, few = {}, []
  for name, column, spec in zip(
    names, np.float64(train).T, types or ['real'] * len(names), strict=True):
    far, num_values = _far_value(column), len(np.unique(column))
    if far:
      _logger.warning(
        'Column %s has %.12g in %d of %d rows, far from all others (%g to %g): '
        'if it stands for missing values, empty these cells.', name, *far)
    if not column_types.ColumnType.get(spec).is_whole:
      columns[name] = column
      if num_values <= _MAX_SHARE_OF_VALUES * len(column) and not far:
        _logger.warning(
          'Column %s has only %d distinct values in %d rows: the likelihood is '
          'unbounded. Scale it to whole numbers, which have probabilities, or '
          'leave it out.', name, num_values, len(column))
    elif num_values <= _FEW_VALUES:
      few.append(f'{name} ({num_values})')
  if few:
    _logger.warning(
      'Few different whole numbers are in %s; samples have others, too. Make '
      'such columns a condition, to model the others given these.',
      ', '.join(few))
  if len(train) > len(columns) > 1:
    values, vectors = np.linalg.eigh(np.corrcoef(list(columns.values())))
    if values[0] < _MIN_RELATIVE_STD**2:
      among = [name for name, share in zip(
        columns, vectors[:, 0], strict=True) if abs(share) > _MIN_RELATIVE_STD]
      _logger.warning(
        'The columns %s are linearly dependent: the likelihood is unbounded. '
        'Remove one of them.', ', '.join(among))


def rows_with_density(
  x: np.ndarray, maps: Sequence[str], names: Sequence[str] = (),
  index: Any = None, noun: str = 'rows') -> np.ndarray:
  """Returns which rows have values that their columns can take, bool `[N]`.

  Others, such as those with a negative number in a column of positive ones, or
  one that float32 rounds to a bound, are named in a warning.

  Args:
    x: `[N, D]`.
    maps: Specs of the types of the columns.
    names: Of the columns, if they have some.
    index: Of the table of the rows, by default they count from 1.
    noun: What the warning calls the rows.

  Raises:
    InvalidValueError: If there are no such rows.
  """
  has_density, places = column_types.with_density(maps, x, names, index)
  if places:
    _logger.warning(
      '%d of %d %s have no density with these types of columns in float32, and '
      'are left out of the mean: %s. Use --column_types=NAME:real, or '
      '--drop=NAME, in a new run.', np.sum(~has_density), len(x), noun, places)
  errors.check_suits(
    has_density.any(), 'inputs', None, 'have no density in any row')
  return has_density


def split_order(num_examples: int) -> np.ndarray:
  """Returns the fixed order in which a data set without parts is split."""
  # Unlike `default_rng`, its stream never changes between versions of NumPy.
  return np.random.RandomState(0).permutation(num_examples)


def held_out(
  num_examples: int, noun: str = 'examples') -> dict[str, np.ndarray]:
  """Returns the indices of 'train' and 'test' examples, in random order.

  A fifth is held out. The split depends only on the number of examples, not on
  a seed, so that no run trains on test examples.

  Raises:
    FormatError: If there are too few, which it calls `noun`.
  """
  errors.check_format(
    num_examples >= MIN_EXAMPLES, f'It has {num_examples} {noun}; at least '
    f'{MIN_EXAMPLES} are required.')
  num_test = round(TEST_SHARE * num_examples)
  order = split_order(num_examples)
  return {'train': order[num_test:], 'test': order[:num_test]}
