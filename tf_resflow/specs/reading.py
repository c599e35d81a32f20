"""Reading of files that users give: errors in one line, bounds of sizes."""

from collections.abc import Collection, Iterator
import contextlib
import csv
import glob
import os
import re
import stat
from typing import Any
import zipfile
import zlib

import numpy as np

from tf_resflow import errors
from tf_resflow.specs import machine

# Errors of files that are truncated, encrypted, or not arrays or tables.
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, csv.Error,
               zipfile.BadZipFile, zlib.error)


def check_regular(path: str | os.PathLike) -> None:
  """Raises `FormatError` unless a path is that of a local file, no pipe."""
  errors.check(
      not re.match('[A-Za-z][A-Za-z0-9+.-]*://', os.fspath(path)),
      problem='It is a URL; download the file first.')
  with reading():
    mode = os.stat(path).st_mode
  errors.check(
      not stat.S_ISDIR(mode), problem='It is a folder; use images:FOLDER.')
  errors.check(
      stat.S_ISREG(mode), problem='It is a pipe or a device, not a file.')


def check_archive(path: str | os.PathLike) -> None:
  """Raises `FormatError` if a zip archive is damaged, or is no zip archive.

  Or if it expands to more than the memory of the machine.
  """
  with reading(), zipfile.ZipFile(path) as archive:
    size = sum(member.file_size for member in archive.infolist())
  errors.check(
      size <= (machine.memory_bytes() or size), problem=f'It expands to '
      f'{size / 2**30:.3g} GiB, more than the memory of this machine.')


def read_arrays(
    path: str | os.PathLike, keys: Collection[str] | None = None,
) -> dict[str, Any]:
  """Reads the arrays of an .npz file, or the one of an .npy file as `x`.

  Those that are not among `keys`, if any, are None.

  Raises:
    FormatError: if there is no such file, or it is damaged, or has objects.
  """
  check_regular(path)
  if zipfile.is_zipfile(path):
    check_archive(path)
  with reading():
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
      return {'x': loaded}
    with loaded:
      arrays = {
          key: loaded[key] if keys is None or key in keys else None
          for key in loaded.files}
  for key, array in arrays.items():
    errors.check(
        array is None or isinstance(array, np.ndarray),
        problem=f'Its {key} is not an array.')
  return arrays


@contextlib.contextmanager
def reading(file: str | os.PathLike = '') -> Iterator[None]:
  """Inside, errors of reading a file become a `FormatError`, in one line.

  Args:
    file: name of the file, if the error is to name it: one of a folder.

  Example:
    >>> with reading('missing.npy'):
    ...   rows = np.load('missing.npy')
    Traceback (most recent call last):
    tf_resflow.errors.FormatError: missing.npy: There is no such file.
  """
  try:
    yield
    return
  except errors.InvalidValueError:
    raise
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
