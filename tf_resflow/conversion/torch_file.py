"""Reads checkpoint files of PyTorch, without PyTorch and without running them.

`torch.save` has written two formats: a zip archive (since 1.6), and before a
stream of pickles with the tensors' bytes behind them. Both hold one pickle of
the object, in which a tensor is a view of a storage, and one block of bytes
per storage. The blocks stay in the file until `Tensor.numpy` asks for them.
"""

import dataclasses
import io
import math
import os
import struct
import sys
from typing import NamedTuple
import zipfile
import zlib

import numpy as np

from tf_resflow.conversion import unpickler

_ZIP_START = b'PK\x03\x04'
_MAGIC = 0x1950a86a20f9469cfc6c
_MAGIC_OPCODES = b'\x8a\x0a' + _MAGIC.to_bytes(10, 'little') + b'.'
_ZIP_ENCRYPTED = 0x1 | 0x40
_CHUNK_BYTES = 2**20
_MAX_DIMS = 32  # Of NumPy 1.
# An expanded tensor names each of its numbers many times.
_MAX_EXPANDED_BYTES = 2**30

# What broken files raise. OSError is what impossible offsets raise.
_ERRORS = (ArithmeticError, EOFError, LookupError, OSError, RuntimeError,
           struct.error, ValueError, zipfile.BadZipFile)


class _Dtype(NamedTuple):
  """An element type in the file, and its NumPy dtype in results."""

  stored: np.dtype
  result: np.dtype


_DTYPES = {
    # The upper half of a float32, and a byte that is not 0.
    'bfloat16': _Dtype(np.dtype('u2'), np.dtype('f4')),
    'bool': _Dtype(np.dtype('u1'), np.dtype('?')),
    **{name: _Dtype(np.dtype(name), np.dtype(name)) for name in (
        'float16', 'float32', 'float64', 'int8', 'int16', 'int32', 'int64',
        'uint8', 'uint16', 'uint32', 'uint64')},
}


def _damaged(path, error):
  return ValueError(
      f'{path} is truncated or damaged ({unpickler.one_line(error)}): '
      'download it again.')


def _read(file, num_bytes):
  data = np.empty(num_bytes, np.uint8)
  if file.readinto(data) != num_bytes:
    raise EOFError
  return data


@dataclasses.dataclass(eq=False)
class _Section:
  """The bytes of one storage in a file.

  `item_size` is that of a number for its first user, `start` is None until it
  is known, `crc` is None when there is none to compare.
  """

  path: str
  num_bytes: int
  item_size: int = 1
  start: int | None = None
  crc: int | None = None
  byte_order: str = '<'

  def check_end(self, file_size):
    if self.start + self.num_bytes > file_size:
      raise ValueError('the end of a tensor is missing')
    return self

  def read(self, first, num_bytes):
    """Returns bytes as a writable uint8 array; compares the CRC once."""
    with open(self.path, 'rb') as file:
      if self.crc is not None:
        file.seek(self.start)
        crc = 0
        for num_left in range(self.num_bytes, 0, -_CHUNK_BYTES):
          crc = zlib.crc32(_read(file, min(num_left, _CHUNK_BYTES)), crc)
        if crc != self.crc:
          raise ValueError(f'wrong checksum of the {self.num_bytes} bytes at '
                           f'{self.start}')
        self.crc = None
      file.seek(self.start + first)
      return _read(file, num_bytes)


class _Storage(NamedTuple):
  """A section, or a part of it, as numbers of one type."""

  section: _Section
  dtype: _Dtype
  first_byte: int
  num_bytes: int


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Tensor:
  """A tensor of a `shape`, whose numbers are still in the file."""

  shape: tuple[int, ...]
  _storage: _Storage
  _dtype: _Dtype
  _offset: int
  _strides: tuple[int, ...]

  def __post_init__(self):
    numbers = (self._offset, *self.shape, *self._strides)
    if (any(type(number) is not int or not 0 <= number <= sys.maxsize
            for number in numbers)
        or len(self.shape) != len(self._strides)
        or len(self.shape) > _MAX_DIMS):
      raise ValueError('a tensor has an impossible shape, offset or strides')
    num_bytes = self.dtype.itemsize * math.prod(max(n, 1) for n in self.shape)
    num_stored = self._storage.num_bytes // self._dtype.stored.itemsize
    if 0 not in self.shape and self._offset + self._extent > num_stored:
      raise ValueError(
          f'a tensor of shape {self.shape} reaches to number '
          f'{self._offset + self._extent} of a storage of {num_stored}')
    is_expanded = 0 < self.dtype.itemsize * self._extent < num_bytes
    if num_bytes > (_MAX_EXPANDED_BYTES if is_expanded else sys.maxsize):
      raise ValueError(f'a tensor of the impossible shape {self.shape}')

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
    section, stored = self._storage.section, self._dtype.stored
    try:
      data = section.read(
          self._storage.first_byte + self._offset * stored.itemsize,
          self._extent * stored.itemsize)
    except (EOFError, ValueError) as error:
      raise _damaged(section.path, error) from error
    flat = data.view(stored.newbyteorder(section.byte_order))
    if self._dtype is _DTYPES['bfloat16']:
      flat = (flat.astype(np.uint32) << 16).view(np.float32)
    flat = flat.astype(self.dtype, copy=False)
    # The stride of a single element means nothing, and may be any number.
    strides = [stride * self.dtype.itemsize if size > 1 else 0
               for size, stride in zip(self.shape, self._strides, strict=True)]
    view = np.ndarray(self.shape, self.dtype, flat, strides=strides)
    return np.array(view, order='C')


def _rebuild_tensor(storage, offset, shape, strides, _requires_grad=False,
                    _hooks=None, metadata=None, *, dtype=None):
  """Makes a tensor for versions 1 and 2 of PyTorch's function."""
  if (not isinstance(storage, _Storage) or not isinstance(shape, tuple)
      or not isinstance(strides, tuple)):
    raise TypeError('a tensor without a storage, shape or strides')
  if metadata:  # Says to negate or conjugate the numbers when they are read.
    raise unpickler.UnsupportedError(
        'a tensor with pending conjugation or negation is not supported; save '
        'tensor.resolve_conj().resolve_neg()')
  return Tensor(shape, storage, dtype or storage.dtype, offset, strides)


def _rebuild_tensor_v3(storage, offset, shape, strides, _requires_grad,
                       _hooks, dtype, metadata=None):
  if not isinstance(dtype, _Dtype):
    raise unpickler.UnsupportedError(
        f'tensors of {getattr(dtype, "path", "unknown")!r} are not supported; '
        f'convert them to one of {", ".join(_DTYPES)}')
  return _rebuild_tensor(
      storage, offset, shape, strides, metadata=metadata, dtype=dtype)


_GLOBALS = {
    **{('torch', name): dtype for name, dtype in _DTYPES.items()},
    **{(module, f'{name}Storage'): _DTYPES[dtype]
       for module in ('torch', 'torch.cuda', 'torch.storage')
       for name, dtype in (
           ('BFloat16', 'bfloat16'), ('Bool', 'bool'), ('Byte', 'uint8'),
           ('Char', 'int8'), ('Double', 'float64'), ('Float', 'float32'),
           ('Half', 'float16'), ('Int', 'int32'), ('Long', 'int64'),
           ('Short', 'int16'), ('Untyped', 'uint8'))},
    **unpickler.function_table({
        'torch.Size': tuple,
        'torch._utils._rebuild_parameter': lambda data, *_: data,
        'torch._utils._rebuild_parameter_with_state': lambda data, *_: data,
        'torch._utils._rebuild_tensor': _rebuild_tensor,
        'torch._utils._rebuild_tensor_v2': _rebuild_tensor,
        'torch._utils._rebuild_tensor_v3': _rebuild_tensor_v3,
    }),
}


def _storage_loader(sections, make_section):
  """Returns a `persistent_load`; it fills `{key: _Section}`.

  `make_section(key, num_bytes, item_size)` is called once for each key.
  """
  def persistent_load(saved_id):
    if not isinstance(saved_id, tuple) or not isinstance(saved_id[0], str):
      raise ValueError('a persistent id that is no tuple')
    # The stream format holds the classes of modules with their source.
    if saved_id[0] == 'module' and unpickler.is_stand_in_class(saved_id[1]):
      return saved_id[1]
    if saved_id[0] != 'storage':
      raise ValueError('a persistent id of neither a storage nor a module')
    # The location is a device, such as 'cuda:0'.
    dtype, key, _location, numel, *view = saved_id[1:]
    if unpickler.is_stand_in_class(dtype):
      raise unpickler.UnsupportedError(
          f'storage type {dtype.path!r} is not supported; convert its tensors '
          f'to one of {", ".join(_DTYPES)}')
    if (not isinstance(dtype, _Dtype) or not isinstance(key, str)
        or type(numel) is not int or not 0 <= numel <= sys.maxsize):
      raise ValueError('a storage with a wrong type, key or size')
    item_size = dtype.stored.itemsize
    num_bytes = numel * item_size
    if key not in sections:
      sections[key] = make_section(key, num_bytes, item_size)
    section = sections[key]
    if section.num_bytes != num_bytes:
      raise ValueError(f'storage {key!r} holds {section.num_bytes} bytes where '
                       f'{num_bytes} are expected')
    if view in ([], [None]):
      return _Storage(section, dtype, 0, num_bytes)
    ((_key, first, size),) = view
    if (type(first) is not int or type(size) is not int
        or not 0 <= first <= first + size <= numel):
      raise ValueError(f'a view reaches outside of storage {key!r}')
    return _Storage(section, dtype, first * item_size, size * item_size)

  return persistent_load


def _zip_section(path, file, file_size, info):
  """Finds the bytes of an entry; only plain ones, as torch writes them."""
  file.seek(info.header_offset)
  signature, _, flags, method, *_, name_size, extra_size = struct.unpack(
      '<4s3H4s3I2H', file.read(30))
  if signature != _ZIP_START:
    raise ValueError(f'no entry {info.filename!r} where it should be')
  if ((flags | info.flag_bits) & _ZIP_ENCRYPTED or method
      or info.compress_type or info.compress_size != info.file_size):
    raise ValueError(f'entry {info.filename!r} is encrypted or compressed')
  start = info.header_offset + 30 + name_size + extra_size
  return _Section(
      path, info.file_size, 1, start, info.CRC).check_end(file_size)


def _read_zip(path, file, file_size):
  with zipfile.ZipFile(file) as archive:
    infos = {info.filename: info for info in archive.infolist()}
  folders = [name.removesuffix('data.pkl') for name in infos
             if name.endswith('/data.pkl') and name.count('/') == 1]
  if len(folders) != 1:
    raise unpickler.UnsupportedError(
        f'the zip archive has {len(folders)} entries FOLDER/data.pkl, expected '
        'one; give a file of torch.save')
  (folder,) = folders
  if f'{folder}constants.pkl' in infos:
    raise unpickler.UnsupportedError(
        'this is a TorchScript archive of torch.jit.save, expected a '
        'checkpoint; save the state_dict() of its module with torch.save')

  def find(name):
    if folder + name not in infos:
      raise ValueError(f'there is no entry {folder + name!r}')
    return _zip_section(path, file, file_size, infos[folder + name])

  def read_whole(name):
    section = find(name)
    return section.read(0, section.num_bytes).tobytes()

  byte_order = '<'
  if f'{folder}byteorder' in infos:
    byte_order = {b'little': '<', b'big': '>'}[read_whole('byteorder')]
  persistent_load = _storage_loader({}, lambda key, *_: dataclasses.replace(
      find(f'data/{key}'), byte_order=byte_order))
  return unpickler.load(
      io.BytesIO(read_whole('data.pkl')), _GLOBALS, persistent_load)


def _read_legacy(path, file, file_size):
  magic, version = unpickler.load(file), unpickler.load(file)
  if (magic, version) != (_MAGIC, 1001):
    raise ValueError('wrong magic number or protocol version')
  # The writer's byte order and sizes; but numbers are always little-endian.
  unpickler.load(file)
  sections = {}
  result = unpickler.load(file, _GLOBALS, _storage_loader(
      sections, lambda key, *sizes: _Section(path, *sizes)))
  keys = unpickler.load(file)
  if (not isinstance(keys, list)
      or not all(isinstance(key, str) for key in keys)
      or sorted(keys) != sorted(sections)):
    raise ValueError('the list of storages disagrees with the tensors')
  for key in keys:
    section = sections[key]
    (numel,) = struct.unpack('<q', file.read(8))
    if numel * section.item_size != section.num_bytes:
      raise ValueError(f'storage {key!r} has {numel} numbers, and '
                       f'{section.num_bytes} bytes')
    section.start = file.tell()
    file.seek(section.check_end(file_size).num_bytes, os.SEEK_CUR)
  return result


def _choose_format(path, head):
  """Returns the function that reads a file that starts with `head`."""
  if head.startswith(_ZIP_START):
    return _read_zip
  if _MAGIC_OPCODES in head[:32]:
    return _read_legacy
  if head[257:262] == b'ustar':
    raise ValueError(
        f'{path} is a tar archive, as PyTorch wrote before 2017, expected a '
        'newer file; load it with PyTorch and save it again.')
  if any(start.startswith(head)
         for start in (_ZIP_START, b'\x80\x02' + _MAGIC_OPCODES)):
    raise _damaged(path, ValueError(f'it has {len(head)} bytes'))
  raise ValueError(
      f'{path} is not a PyTorch checkpoint: it starts with {head[:8]!r}, '
      'expected a file of torch.save; give the path of the .pth file.')


def read(path):
  """Reads a file of `torch.save`.

  Classes of the file are not looked up: their objects become
  `unpickler.StandIn`s, whose `path` is 'module.name' and whose `state` is the
  dict of their attributes. Parameters become `Tensor`s, `torch.Size` a tuple.

  Args:
    path: of the file, a str or `os.PathLike`.

  Returns:
    The object that was saved, with `Tensor`s for its tensors.

  Raises:
    FileNotFoundError: there is no such file.
    ValueError: the file is not one of `torch.save`, is cut off or damaged, or
      holds what is not supported.

  Example:
    >>> checkpoint = read('model.pth')
    >>> checkpoint['state_dict']['weight'].numpy()
    array([[1., 2.]], dtype=float32)
  """
  path = os.path.abspath(path)
  if not os.path.isfile(path):
    raise FileNotFoundError(
        f'{path} is not a file; give the path of a checkpoint of torch.save.')
  with open(path, 'rb') as file:
    head = file.read(512)
    read_fn = _choose_format(path, head)
    file_size = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
      return read_fn(path, file, file_size)
    except unpickler.UnsupportedError as error:
      raise ValueError(f'{path}: {unpickler.one_line(error)}.') from error
    except _ERRORS as error:
      raise _damaged(path, error) from error
