"""Reads checkpoint files of PyTorch, without PyTorch or executing their code.

A pickle is a program: it names classes and functions, and calls them. Here a
name never leads to an import: what checkpoints hold has stand-ins, and any
other name is an error.

`torch.save` has written two formats: a zip archive (since 1.6), and earlier a
stream of pickles followed by the bytes of the tensors. Both hold one pickle of
the object, in which a tensor is a view of a storage, and one block of bytes
per storage.
"""

import io
import os
import pickle
import re
import struct
import sys
from typing import Any, BinaryIO
import zipfile

import numpy as np

from tf_resflow import errors
from tf_resflow import private_apis

_ZIP_START = b'PK\x03\x04'
_MAGIC = 0x1950a86a20f9469cfc6c
_LEGACY_START = b'\x80\x02\x8a\x0a' + _MAGIC.to_bytes(10, 'little')

# All pickles of a file; those of 100 blocks have half as many. An object takes
# one byte there, and up to a hundred in memory.
_MAX_PICKLE_BYTES = 10**7

# Opcodes of protocol 2 that `torch.save` writes, see `pickletools.opcodes`.
_OPCODES = b'\x80.(N\x88\x89JKM\x8aGX)\x85\x86\x87t]ae}sucR\x81bQqrhj'

# Packages of which objects are in checkpoints, and other names there.
_PACKAGES = frozenset({'torch', 'resflows', 'lib', 'numpy'})
_NAMES = frozenset({
    'argparse.Namespace', 'collections.defaultdict', 'builtins.set',
    '__builtin__.set', '_codecs.encode'})

# NumPy types of storages, by the PyTorch names of their classes; V2 is
# bfloat16.
_STORAGE_NAME = re.compile(r'torch\.(?:\w+\.)?(\w+)Storage')
_STORAGES = {
    'BFloat16': '<V2', 'Bool': '<u1', 'Byte': '<u1', 'Char': '<i1',
    'Double': '<f8', 'Float': '<f4', 'Half': '<f2', 'Int': '<i4',
    'Long': '<i8', 'Short': '<i2', 'Untyped': '<u1'}


def _check(condition, reason):
  if not condition:
    raise ValueError(reason)


class _Object(dict):
  """Stands in for an object, as a dict of its attributes, and for a dict.

  Keys other than strings are left out: to hash them may never end.
  """

  def __init__(self, *_args: object):
    super().__init__()

  def __setitem__(self, key, value):
    if type(key) is str:
      super().__setitem__(key, value)

  def set_state(self, state):
    """Sets the attributes."""
    self.update(state if isinstance(state, dict) else {})

  def __repr__(self):
    return f'<{len(self)} attributes>'  # They may hold each other.


class _OrderedDict(_Object):
  """Has items, and attributes that are not needed."""

  def set_state(self, state):
    """Ignores the attributes."""


def _rebuild_parameter(tensor, *_rest):
  return tensor


def _rebuild_tensor(storage, offset, shape, strides, *rest):
  # Metadata can request to negate or conjugate the numbers.
  _check(not any(rest[2:]), 'it holds a tensor with pending conjugation or '
         'negation: save tensor.resolve_conj().resolve_neg()')
  # Only a storage owns its numbers.
  _check(storage.flags.owndata and len(shape) == len(strides) <= 32 and all(
      type(number) is int and 0 <= number <= sys.maxsize
      for number in (offset, *shape, *strides)),
         'a tensor has an impossible shape, offset or strides')
  if 0 in shape:
    return np.empty(shape, storage.dtype)
  end = offset + 1 + sum(
      (n - 1) * stride for n, stride in zip(shape, strides, strict=True))
  _check(end <= storage.size, f'a tensor reaches to number {end} of a storage '
         f'of {storage.size}')
  # The stride of a single element means nothing, and may be any number.
  return np.lib.stride_tricks.as_strided(storage[offset:], shape, [
      stride * storage.itemsize if n > 1 else 0
      for n, stride in zip(shape, strides, strict=True)])


_FUNCTIONS = {
    'collections.OrderedDict': _OrderedDict,
    'torch._utils._rebuild_parameter': _rebuild_parameter,
    'torch._utils._rebuild_parameter_with_state': _rebuild_parameter,
    'torch._utils._rebuild_tensor': _rebuild_tensor,
    'torch._utils._rebuild_tensor_v2': _rebuild_tensor}

_PythonUnpickler: Any = private_apis.python_unpickler()


class _Unpickler(_PythonUnpickler):
  """Reads pickles of numbers, strings, lists, tuples, `_Object`s and arrays.

  `storages` are the arrays, still without their numbers, of which all others
  are views.
  """

  dispatch = {code: _PythonUnpickler.dispatch[code] for code in _OPCODES}

  def __init__(self, file: BinaryIO, num_bytes: int):
    super().__init__(file)
    self._num_free_bytes = num_bytes
    self.storages: dict[str, np.ndarray] = {}

  def find_class(self, module: str, name: str) -> object:
    """Returns a stand-in, never the named class or function."""
    path = f'{module}.{name}'
    if path in _FUNCTIONS:
      return _FUNCTIONS[path]
    if storage := _STORAGE_NAME.fullmatch(path):
      _check(storage[1] in _STORAGES, f'it holds tensors of {path[:100]!r}: '
             'convert them before they are saved')
      return _STORAGES[storage[1]]
    _check(module.partition('.')[0] in _PACKAGES or path in _NAMES,
           f'it names {path[:100]!r}, which no checkpoint of train_img.py has')
    return _Object

  def persistent_load(self, saved_id: Any) -> object:
    """Returns the storage of an id."""
    # PyTorch writes classes of modules in this way, to add their source.
    if saved_id[0] == 'module':
      return saved_id[1]
    # The location is a device, such as 'cuda:0'.
    name, dtype, key, _location, size, *view = saved_id
    _check(name == 'storage' and view in ([], [None]) and type(key) is str
           and dtype in _STORAGES.values() and type(size) is int and size >= 0,
           'a persistent id that is not that of a whole storage')
    if key not in self.storages:
      self._num_free_bytes -= size * np.dtype(dtype).itemsize
      _check(self._num_free_bytes >= 0, f'storage {key[:100]!r} has {size} '
             'numbers, more than the file')
      self.storages[key] = np.empty(size, dtype)
    storage = self.storages[key]
    _check((storage.dtype, storage.size) == (dtype, size),
           f'two sizes or types of storage {key[:100]!r}')
    return storage

  def load_empty_dictionary(self) -> None:
    self.append(_Object())
  dispatch[pickle.EMPTY_DICT[0]] = load_empty_dictionary

  def load_build(self) -> None:
    state = self.stack.pop()
    self.stack[-1].set_state(state)  # Only objects have it.
  dispatch[pickle.BUILD[0]] = load_build


def _fill(storage, key, file):
  num_read = file.readinto(storage.view(np.uint8))
  _check(num_read == storage.nbytes, f'storage {key[:100]!r} holds {num_read} '
         f'bytes where {storage.nbytes} are expected')


def _read_zip(file, num_bytes):
  archive = zipfile.ZipFile(file)
  # PyTorch does not compress, and no two entries share bytes.
  _check(not any(info.compress_type for info in archive.infolist()) and sum(
      info.file_size for info in archive.infolist()) <= num_bytes,
         'its entries are compressed, or larger than the file')
  folders = [name.removesuffix('data.pkl') for name in archive.namelist()
             if name.endswith('/data.pkl') and name.count('/') == 1]
  _check(len(folders) == 1, 'it is another zip archive')
  (folder,) = folders
  _check(f'{folder}byteorder' not in archive.namelist()
         or archive.read(f'{folder}byteorder') == b'little',
         'it was written on a big-endian machine: save it on a little-endian '
         'one')
  _check(archive.getinfo(f'{folder}data.pkl').file_size <= _MAX_PICKLE_BYTES,
         'it holds too many objects')
  unpickler = _Unpickler(
      io.BytesIO(archive.read(f'{folder}data.pkl')), num_bytes)
  value = unpickler.load()
  for key, storage in unpickler.storages.items():
    with archive.open(f'{folder}data/{key}') as entry:
      _fill(storage, key, entry)
      _check(not entry.read(1), f'storage {key[:100]!r} holds more than '
             f'{storage.size} numbers')
  return value


def _read_legacy(file, num_bytes):
  head = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
  unpickler = _Unpickler(head, num_bytes)
  # The third has the writer's byte order and sizes; but numbers are always
  # little-endian.
  magic, version, _, value, keys = (unpickler.load() for _ in range(5))
  _check((magic, version) == (_MAGIC, 1001),
         'wrong magic number or protocol version')
  _check(isinstance(keys, list) and sorted(keys) == sorted(unpickler.storages),
         'the list of storages disagrees with the tensors')
  file.seek(head.tell())
  for key in keys:
    storage = unpickler.storages[key]
    (size,) = struct.unpack('<q', file.read(8))
    _check(size == storage.size, f'storage {key[:100]!r} has {size} numbers')
    _fill(storage, key, file)
  return value


def read(path: str | os.PathLike) -> Any:
  """Reads a file of `torch.save`.

  Nothing in the file is executed, and whatever it declares, it takes as much
  memory as it has bytes, and a gigabyte.

  Returns:
    The saved object, of None, booleans, numbers, strings, lists, tuples, dicts
    (also for objects, of their attributes) without keys that are not strings,
    and arrays (for tensors and parameters). Those of bfloat16 have the dtype
    V2, those of booleans uint8.

  Raises:
    errors.InvalidValueError: there is no such file, it is not one of
      `torch.save`, is cut off or corrupt, or holds other tensors or objects.

  Example:
    >>> checkpoint = read('model.pth')
    >>> checkpoint['state_dict']['weight']
    array([[1., 2.]], dtype=float32)
  """
  path = os.path.abspath(path)
  errors.check(os.path.isfile(path), 'checkpoint', path, 'a file')
  with open(path, 'rb') as file:
    head = file.read(len(_LEGACY_START))
    num_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    try:
      if head.startswith(_ZIP_START):
        return _read_zip(file, num_bytes)
      _check(_LEGACY_START.startswith(head) or _ZIP_START.startswith(head),
             'it is neither a zip archive nor begins with the magic number of '
             f'torch.save, but with {head[:8]!r}')
      return _read_legacy(file, num_bytes)
    except Exception as error:  # A corrupt file can cause any.
      name = '' if type(error) is ValueError else f'{type(error).__name__}: '
      text = ' '.join(f'{name}{error}'.split())[:200]
      raise errors.InvalidValueError(
          'checkpoint', path, 'a complete file of torch.save',
          f'It cannot be read ({text}): download it again if it is truncated '
          'or corrupt.') from None
