"""Hashes of the rows that a run was trained on, a file of 8 bytes each.

The hash of a row is BLAKE2b of its numbers, as flows take them, and its
condition. Two
different rows have the same one with a probability of 2^-64.
"""

import hashlib
import io
import logging
import os
from typing import Any

import numpy as np
from numpy import typing as npt

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.specs import reading
from tf_resflow.training import files

# Most rows: a file of 80 MB, which takes a minute.
MAX_ROWS = 10_000_000

_logger = logging.getLogger(__name__)


def row_hashes(x: npt.ArrayLike, condition: Any = None,
               dtype: Any = None) -> np.ndarray:
  """Returns the hash of every row.

  Args:
    x: `[N, D]`; numbers that are equal in `dtype` are equal.
    condition: of a flow `p(x|c)`, `[N]` or `[N, K]`.
    dtype: that of the rows, by default float32.

  Returns:
    Uint64 `[N]`.

  Example:
    >>> one, two, same = row_hashes([[0.1, 2.0], [2.0, 0.1], [0.1, 2.0]])
    >>> bool(one == same), bool(one == two)
    (True, False)
  """
  # Conditions are float32 always.
  parts = [x] if condition is None else [x, np.asarray(condition, 'f4')]
  dtype = np.dtype(dtype or 'f4').newbyteorder('<')
  rows = np.concatenate([
      np.asarray(part, dtype).reshape([len(x), -1]) for part in parts], axis=1)
  # -0.0 equals 0.0, but not in its bytes.
  return np.frombuffer(b''.join(
      hashlib.blake2b(row, digest_size=8).digest()
      for row in np.ascontiguousarray(rows + dtype.type(0.0))), '<u8')


def write(workdir: str, split: datasets.Split) -> None:
  """Writes the hashes of the training part into the folder of a run.

  There is no file for images, for points that are drawn anew in every step, and
  for more than `MAX_ROWS`.
  """
  if split.is_image or split.draw_fn is not None:
    return
  if split.num_examples > MAX_ROWS:
    _logger.info('%s training rows are too many to recognise them later.',
                 f'{split.num_examples:,}')
    return
  file = io.BytesIO()
  arrays = split.arrays
  np.save(file, np.unique(row_hashes(
      arrays['x'], arrays.get('condition'), arrays['x'].dtype.name)))
  files.write_bytes(os.path.join(workdir, files.TRAIN_ROWS), file.getvalue())


def read(workdir: str) -> np.ndarray | None:
  """Returns the hashes of a run's training rows, or None without the file.

  Raises:
    InvalidValueError: if the file is damaged.
  """
  path = os.path.join(workdir, files.TRAIN_ROWS)
  if not os.path.exists(path):
    return None
  with errors.format_errors(
      'workdir', workdir, f'a {files.TRAIN_ROWS} of training'):
    found = reading.read_arrays(path).get('x', np.zeros(()))
    errors.check(
        found.dtype == np.uint64 and found.ndim == 1,
        problem='It is another file; remove it to go on without.')
  return found


def is_readable(workdir: str) -> bool:
  """Returns whether `read` finds hashes; warns if they are damaged."""
  try:
    return read(workdir) is not None
  except errors.InvalidValueError as error:
    _logger.warning('Damaged training rows are written anew: %s', error)
    return False
