"""Tensors of a PyTorch file, whose numbers stay there until they are asked for.

A tensor is a view of a storage, by an offset and strides. A storage is a part
of the file; several tensors may share it.
"""

import dataclasses
import math
import os
import reprlib
import sys
from typing import NamedTuple
import zlib

import numpy as np

from tf_resflow import errors

_CHUNK_BYTES = 2**22
_MAX_DIMS = 32  # Of NumPy 1.
# An expanded tensor names each of its numbers many times.
_MAX_EXPANDED_BYTES = 2**20


class Dtype(NamedTuple):
  """An element type in the file, and its NumPy dtype in results."""

  stored: np.dtype
  result: np.dtype


DTYPES = {
    # The upper half of a float32, and a byte that is not 0.
    'bfloat16': Dtype(np.dtype('u2'), np.dtype('f4')),
    'bool': Dtype(np.dtype('u1'), np.dtype('?')),
    **{name: Dtype(np.dtype(name), np.dtype(name)) for name in (
        'float16', 'float32', 'float64', 'int8', 'int16', 'int32', 'int64',
        'uint8', 'uint16', 'uint32', 'uint64')},
}


def damaged(path: str, reason: str | Exception) -> errors.InvalidValueError:
  """Returns the error of a file that is broken, whatever the reason."""
  if isinstance(reason, Exception) and not isinstance(reason, ValueError):
    reason = f'{type(reason).__name__}: {reason}'
  reason = ' '.join(str(reason).split())[:300]
  return errors.InvalidValueError(
      'checkpoint', path, 'a whole file of torch.save',
      f'It is truncated or damaged ({reason}): download it again.')


def _read(path: str, start: int, num_bytes: int) -> np.ndarray:
  data = np.fromfile(path, np.uint8, num_bytes, offset=start)
  errors.check_format(data.size == num_bytes, 'it ends early')
  return data


@dataclasses.dataclass(eq=False)
class Storage:
  """A part of a file, as numbers of one type.

  Attributes:
    path: of the file.
    num_bytes: how long it is.
    dtype: of the numbers.
    start: where it begins, in bytes; None until it is known.
    crc: checksum of the bytes; None if there is none left to compare.
    byte_order: '<' or '>'.
  """

  path: str
  num_bytes: int
  dtype: Dtype
  start: int | None = None
  crc: int | None = None
  byte_order: str = '<'

  def check_end(self) -> 'Storage':
    """Returns the storage; raises ValueError if the file is too short."""
    errors.check_format(
        self.start + self.num_bytes <= os.path.getsize(self.path),
        'the end of a tensor is missing')
    return self

  def check_sum(self) -> None:
    """Raises ValueError if the checksum is wrong; reads all, but once."""
    if self.crc is None:
      return
    crc, end = 0, self.start + self.num_bytes
    for start in range(self.start, end, _CHUNK_BYTES):
      crc = zlib.crc32(
          _read(self.path, start, min(end - start, _CHUNK_BYTES)), crc)
    errors.check_format(
        crc == self.crc,
        f'wrong checksum of the {self.num_bytes} bytes at {self.start}')
    self.crc = None

  def read(self, first: int, num_bytes: int) -> np.ndarray:
    """Returns bytes as a writable uint8 array, after `check_sum`."""
    self.check_sum()
    return _read(self.path, self.start + first, num_bytes)


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Tensor:
  """A tensor of a `shape`, whose numbers are still in the file.

  Raises:
    ValueError: if it reaches outside of its storage.
  """

  shape: tuple[int, ...]
  _storage: Storage
  _dtype: Dtype
  _offset: int
  _strides: tuple[int, ...]

  def __post_init__(self):
    numbers = (self._offset, *self.shape, *self._strides)
    errors.check_format(
        all(type(number) is int and 0 <= number <= sys.maxsize
            for number in numbers)
        and len(self.shape) == len(self._strides)
        and len(self.shape) <= _MAX_DIMS,
        'a tensor has an impossible shape, offset or strides')
    num_bytes = self.dtype.itemsize * math.prod(max(n, 1) for n in self.shape)
    num_stored = self._storage.num_bytes // self._dtype.stored.itemsize
    errors.check_format(
        0 in self.shape or self._offset + self._extent <= num_stored,
        f'a tensor of shape {reprlib.repr(self.shape)} reaches to number '
        f'{self._offset + self._extent} of a storage of {num_stored}')
    is_expanded = 0 < self.dtype.itemsize * self._extent < num_bytes
    errors.check_format(
        num_bytes <= (_MAX_EXPANDED_BYTES if is_expanded else sys.maxsize),
        f'a tensor of the impossible shape {reprlib.repr(self.shape)}')

  def __repr__(self):
    return f'Tensor(shape={self.shape}, dtype={self.dtype})'

  @property
  def dtype(self) -> np.dtype:
    """The dtype of `numpy()`: float32 for bfloat16."""
    return self._dtype.result

  @property
  def _extent(self):
    """The number of stored numbers from the first to the last element."""
    if 0 in self.shape:
      return 0
    return 1 + sum((size - 1) * stride for size, stride
                   in zip(self.shape, self._strides, strict=True))

  def numpy(self) -> np.ndarray:
    """Reads the numbers from the file.

    Reads the bytes between the tensor's first and last number. In a zip
    archive, the storage's first use reads all of it, for its checksum.

    Returns:
      A new, writable, C-contiguous array.

    Raises:
      FileNotFoundError: the file has been removed since it was opened.
      ValueError: the bytes disagree with their checksum, or have been cut off.
    """
    if 0 in self.shape:
      return np.empty(self.shape, self.dtype)
    storage, stored = self._storage, self._dtype.stored
    try:
      data = storage.read(
          self._offset * stored.itemsize, self._extent * stored.itemsize)
    except ValueError as error:
      raise damaged(storage.path, error) from error
    flat = data.view(stored.newbyteorder(storage.byte_order))
    if self._dtype is DTYPES['bfloat16']:
      flat = (flat.astype(np.uint32) << 16).view(np.float32)
    flat = flat.astype(self.dtype, copy=False)
    # The stride of a single element means nothing, and may be any number.
    strides = [stride * self.dtype.itemsize if size > 1 else 0
               for size, stride in zip(self.shape, self._strides, strict=True)]
    return np.ndarray(self.shape, self.dtype, flat, strides=strides).copy()
