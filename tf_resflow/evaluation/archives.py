"""Reads .npz files that users name."""

import os
import zipfile
import zlib

import numpy as np


def read_arrays(path, name, keys=None):
  """Returns the arrays of an .npz file, as a dict.

  Args:
    path: of the file.
    name: what messages call it, such as `inputs`.
    keys: which to read, all by default; the others are None.

  Raises:
    OSError: if there is no such file, or it cannot be opened.
    ValueError: if it is no such file, is damaged, or holds objects.
  """
  if not os.path.exists(path):
    raise FileNotFoundError(f'{name} is {path}, which does not exist.')
  if not os.path.isfile(path) or not zipfile.is_zipfile(path):
    raise ValueError(
        f'{name} is {path}, which is not a readable .npz file; expected what '
        'numpy.savez writes.')
  try:
    archive = np.load(path)
    with archive:
      arrays = {
          key: archive[key] if keys is None or key in keys else None
          for key in archive.files}
    for key, array in arrays.items():
      if not isinstance(array, (np.ndarray, type(None))):
        raise ValueError(f'its {key} is not an array')
  # What zipfile and zlib raise where bytes are damaged, or encrypted.
  except (EOFError, NotImplementedError, RuntimeError, ValueError,
          zipfile.BadZipFile, zlib.error) as error:
    raise ValueError(
        f'{name} is {path}, which is not a readable .npz file: {error}'
    ) from error
  return arrays
