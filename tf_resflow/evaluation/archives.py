"""Reads .npz files that users name."""

from collections.abc import Collection
import os
import zipfile
import zlib

import numpy as np

from tf_resflow import errors


def read_arrays(
    path: str | os.PathLike, name: str, keys: Collection[str] | None = None,
) -> dict[str, np.ndarray | None]:
  """Returns the arrays of an .npz file.

  Args:
    path: of the file.
    name: of the argument or flag that names the file, for messages.
    keys: which to read, all by default; the others are None.

  Raises:
    InvalidValueError: if there is no such file, or it is damaged, or holds
      objects.
    OSError: if it cannot be opened.
  """
  expected = 'an .npz file, as numpy.savez writes it'
  errors.check(os.path.exists(path), name, path, expected, 'It does not exist.')
  errors.check(
      os.path.isfile(path) and zipfile.is_zipfile(path), name, path, expected)
  try:
    with np.load(path) as archive:
      arrays = {
          key: archive[key] if keys is None or key in keys else None
          for key in archive.files}
  # What zipfile and zlib raise where bytes are damaged, or encrypted.
  except (EOFError, NotImplementedError, RuntimeError, ValueError,
          zipfile.BadZipFile, zlib.error) as error:
    raise errors.InvalidValueError(
        name, path, expected, f'It cannot be read: {error}.') from error
  for key, array in arrays.items():
    errors.check(isinstance(array, (np.ndarray, type(None))), name, path,
                 expected, f'Its {key} is not an array.')
  return arrays
