"""Reads checkpoint files of PyTorch, without PyTorch and without running them.

`torch.save` has written two formats: a zip archive (since 1.6), and before a
stream of pickles with the tensors' bytes behind them. Both hold one pickle of
the object, in which a tensor is a view of a storage, and one block of bytes
per storage. The blocks stay in the file until `Tensor.numpy` asks for them.
"""

from collections.abc import Callable
import os
import reprlib
import struct
import sys
import zipfile

import numpy as np

from tf_resflow import errors
from tf_resflow.conversion import pickles
from tf_resflow.conversion import torch_tensor

_ZIP_START = b'PK\x03\x04'
_MAGIC = 0x1950a86a20f9469cfc6c
_MAGIC_OPCODES = b'\x8a\x0a' + _MAGIC.to_bytes(10, 'little') + b'.'
_ZIP_ENCRYPTED = 0x1 | 0x40
_SCALAR_TYPES = {'b1', 'f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2',
                 'u4', 'u8'}

# What broken files raise. OSError is what impossible offsets raise.
_ERRORS = (ArithmeticError, AttributeError, EOFError, LookupError, OSError,
           RuntimeError, TypeError, ValueError, struct.error,
           zipfile.BadZipFile)

_STORAGE_TYPES = {
    f'{module}.{name}Storage': torch_tensor.DTYPES[dtype]
    for module in ('torch', 'torch.cuda', 'torch.storage')
    for name, dtype in (
        ('BFloat16', 'bfloat16'), ('Bool', 'bool'), ('Byte', 'uint8'),
        ('Char', 'int8'), ('Double', 'float64'), ('Float', 'float32'),
        ('Half', 'float16'), ('Int', 'int32'), ('Long', 'int64'),
        ('Short', 'int16'), ('Untyped', 'uint8'))}
_TENSOR_TYPES = {
    f'torch.{name}': dtype for name, dtype in torch_tensor.DTYPES.items()}


def _check_supported(condition, expected, advice):
  """Refuses a file that may be sound; `read` adds its path."""
  errors.check(condition, 'checkpoint', None, expected, advice)


def _dtype_of(table, obj):
  """Looks up the element type that a class of PyTorch stands for."""
  _check_supported(
      obj.path in table, f'tensors of {", ".join(torch_tensor.DTYPES)}, not of '
      f'{reprlib.repr(obj.path)}', 'Convert them before they are saved.')
  return table[obj.path]


class _Builder:
  """Makes tensors of what the pickle of a file names.

  Args:
    make_storage: `make_storage(key, num_bytes, dtype)` is called once for each
      key.

  Attributes:
    storages: dict from keys to `Storage`s.
  """

  def __init__(self, make_storage: Callable[
      [str, int, torch_tensor.Dtype], torch_tensor.Storage]):
    self.storages: dict[str, torch_tensor.Storage] = {}
    self._make_storage = make_storage
    self._functions = {
        'persistent id': self._storage,
        'torch._utils._rebuild_parameter': lambda data, *_: data,
        'torch._utils._rebuild_parameter_with_state': lambda data, *_: data,
        'torch._utils._rebuild_tensor': _tensor,
        'torch._utils._rebuild_tensor_v2': _tensor,
        'torch._utils._rebuild_tensor_v3': _tensor_v3,
        'numpy.core.multiarray.scalar': _scalar,
        'numpy._core.multiarray.scalar': _scalar,
    }

  def make(self, obj: pickles.Object) -> object:
    """Returns what an `Object` stands for, or the object itself."""
    function = self._functions.get(obj.path)
    return function(*obj.args) if function and obj.args else obj

  def _storage(self, saved_id):
    # The location is a device, such as 'cuda:0'.
    kind, storage_type, key, _location, numel, *view = saved_id
    errors.check_format(
        kind == 'storage' and view in ([], [None]),
        'a persistent id that is not that of a whole storage')
    dtype = _dtype_of(_STORAGE_TYPES, storage_type)
    errors.check_format(
        isinstance(key, str) and type(numel) is int
        and 0 <= numel <= sys.maxsize, 'a storage with a wrong key or size')
    num_bytes = numel * dtype.stored.itemsize
    if key not in self.storages:
      self.storages[key] = self._make_storage(key, num_bytes, dtype)
    storage = self.storages[key]
    errors.check_format(
        storage.num_bytes == num_bytes and storage.dtype is dtype,
        f'storage {reprlib.repr(key)} holds {storage.num_bytes} bytes where '
        f'{num_bytes} are expected, or two types of numbers')
    return storage


def _tensor(storage, offset, shape, strides, _requires_grad=False, _hooks=None,
            metadata=None, *, dtype=None):
  """Makes a tensor for versions 1 and 2 of PyTorch's function."""
  # Metadata says to negate or conjugate the numbers when they are read.
  _check_supported(
      not metadata, 'no tensor with pending conjugation or negation',
      'Save tensor.resolve_conj().resolve_neg().')
  return torch_tensor.Tensor(
      tuple(shape), storage, dtype or storage.dtype, offset, tuple(strides))


def _tensor_v3(storage, offset, shape, strides, _requires_grad, _hooks, dtype,
               metadata=None):
  return _tensor(storage, offset, shape, strides, metadata=metadata,
                 dtype=_dtype_of(_TENSOR_TYPES, dtype))


def _scalar(dtype, data):
  """Makes a NumPy scalar, whose bytes are a str encoded as Latin 1."""
  (code, *_), (_version, order, *_) = dtype.args, dtype.state
  errors.check_format(
      code in _SCALAR_TYPES, f'a NumPy scalar of type {reprlib.repr(code)}')
  text = data.args[0] if isinstance(data, pickles.Object) else data
  kind = np.dtype(code).newbyteorder(order)
  (value,) = np.frombuffer(text.encode('latin1'), kind)
  return value


def _zip_storage(path, file, info, dtype, byte_order):
  """Finds the bytes of an entry; only plain ones, as torch writes them."""
  name = reprlib.repr(info.filename)
  file.seek(info.header_offset)
  signature, _, flags, method, *_, name_size, extra_size = struct.unpack(
      '<4s3H4s3I2H', file.read(30))
  errors.check_format(
      signature == _ZIP_START, f'no entry {name} where it should be')
  is_packed = method or info.compress_type or (
      info.compress_size != info.file_size)
  errors.check_format(
      not is_packed and not (flags | info.flag_bits) & _ZIP_ENCRYPTED,
      f'entry {name} is encrypted or compressed')
  start = info.header_offset + 30 + name_size + extra_size
  return torch_tensor.Storage(
      path, info.file_size, dtype, start, info.CRC, byte_order).check_end()


def _read_zip(path, file):
  infos = {info.filename: info for info in zipfile.ZipFile(file).infolist()}
  folders = [name.removesuffix('data.pkl') for name in infos
             if name.endswith('/data.pkl') and name.count('/') == 1]
  _check_supported(
      len(folders) == 1, 'one entry FOLDER/data.pkl in the zip archive, not '
      f'{len(folders)}', 'Give a file of torch.save.')
  (folder,) = folders
  _check_supported(
      f'{folder}constants.pkl' not in infos,
      'a checkpoint, not a TorchScript archive of torch.jit.save',
      'Save the state_dict() of its module with torch.save.')

  def find(name, dtype=torch_tensor.DTYPES['uint8'], byte_order='<'):
    name = folder + name
    errors.check_format(
        name in infos, f'there is no entry {reprlib.repr(name)}')
    return _zip_storage(path, file, infos[name], dtype, byte_order)

  byte_order = '<'
  if f'{folder}byteorder' in infos:
    order = find('byteorder')
    byte_order = {b'little': '<', b'big': '>'}[
        order.read(0, order.num_bytes).tobytes()]
  builder = _Builder(
      lambda key, _, dtype: find(f'data/{key}', dtype, byte_order))
  pickled = find('data.pkl')
  pickled.check_sum()
  (result,), end = pickles.load(path, pickled.start, 1, builder.make)
  errors.check_format(
      end <= pickled.start + pickled.num_bytes, 'it ends early')
  return result


def _read_legacy(path, file):
  builder = _Builder(
      lambda _, *size_and_dtype: torch_tensor.Storage(path, *size_and_dtype))
  # The third has the writer's byte order and sizes; but numbers are always
  # little-endian.
  (magic, version, _, result, keys), end = pickles.load(
      path, 0, 5, builder.make)
  errors.check_format(
      (magic, version) == (_MAGIC, 1001),
      'wrong magic number or protocol version')
  errors.check_format(
      isinstance(keys, list) and sorted(keys) == sorted(builder.storages),
      'the list of storages disagrees with the tensors')
  file.seek(end)
  for key in keys:
    storage = builder.storages[key]
    (numel,) = struct.unpack('<q', file.read(8))
    errors.check_format(
        numel * storage.dtype.stored.itemsize == storage.num_bytes,
        f'storage {reprlib.repr(key)} has {numel} numbers, and '
        f'{storage.num_bytes} bytes')
    storage.start = file.tell()
    file.seek(storage.check_end().num_bytes, os.SEEK_CUR)
  return result


def _read(path, file):
  """Reads a file in the format that its first bytes show."""
  head = file.read(512)
  if head.startswith(_ZIP_START):
    return _read_zip(path, file)
  if _MAGIC_OPCODES in head[:32]:
    return _read_legacy(path, file)
  _check_supported(
      head[257:262] != b'ustar',
      'a file of PyTorch after 2017, not a tar archive',
      'Load it with PyTorch and save it again.')
  starts = (_ZIP_START, b'\x80\x02' + _MAGIC_OPCODES)
  errors.check_format(
      not any(start.startswith(head) for start in starts),
      f'it has {len(head)} bytes')
  raise errors.InvalidValueError(
      'checkpoint', path, 'a file of torch.save, which is a zip archive or '
      f'begins with its magic number, not with {head[:8]!r}')


def read(path: str | os.PathLike) -> object:
  """Reads a file of `torch.save`.

  Nothing in the file is executed: `pickles.load` reads its pickles in a
  process of its own, under limits of time and memory.

  Args:
    path: of the file.

  Returns:
    The object that was saved: numbers, strings, lists (of tuples, too), dicts,
    NumPy scalars, `Tensor`s of tensors and parameters, and a `pickles.Object`
    of anything else. Dicts inside of three others are left out.

  Raises:
    errors.InvalidValueError: there is no such file, it is not one of
      `torch.save`, is cut off or damaged, or holds what is not supported.

  Example:
    >>> checkpoint = read('model.pth')
    >>> checkpoint['state_dict']['weight'].numpy()
    array([[1., 2.]], dtype=float32)
  """
  path = os.path.abspath(path)
  errors.check(os.path.isfile(path), 'checkpoint', path, 'a file')
  with open(path, 'rb') as file:
    try:
      return _read(path, file)
    except errors.InvalidValueError as error:
      raise errors.InvalidValueError(
          'checkpoint', path, error.expected, error.advice) from error
    except _ERRORS as error:
      raise torch_tensor.damaged(path, error) from error
