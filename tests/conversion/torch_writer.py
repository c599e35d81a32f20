"""Writes both file formats of `torch.save`, without PyTorch.

NumPy arrays become tensors, each with a storage of its own. Everything else is
pickled as Python does, and the markers below as PyTorch would pickle what they
stand for.
"""

import collections
import io
import pathlib
import pickle
import struct
from typing import Any, NamedTuple
import zipfile

import numpy as np

_MAGIC = 0x1950a86a20f9469cfc6c
_PROTOCOL_VERSION = 1001
_STORAGES = {
    'bool': 'BoolStorage', 'float16': 'HalfStorage', 'float32': 'FloatStorage',
    'float64': 'DoubleStorage', 'int8': 'CharStorage', 'int16': 'ShortStorage',
    'int32': 'IntStorage', 'int64': 'LongStorage', 'uint8': 'ByteStorage'}


class Global(NamedTuple):
  """A class or function, by name only."""

  module: str
  name: str

  def __call__(self):
    """Never called; the pickler wants functions to be callable."""


class Instance(NamedTuple):
  """An object of the class `module.name` with the attributes `state`."""

  module: str
  name: str
  state: Any


class View(NamedTuple):
  """A tensor as `torch.as_strided` makes it of an array, in range or not."""

  array: np.ndarray
  offset: Any
  shape: Any
  strides: Any


class _Storage(NamedTuple):
  """The reference to a storage in the pickle of a tensor."""

  key: str
  array: np.ndarray


class _Pickler(pickle._Pickler):
  """Protocol 2, as in `torch.save`.

  Attributes:
    storages: `{key: contiguous array}` of what has been pickled.
  """

  dispatch = dict(pickle._Pickler.dispatch)

  def __init__(self, file, is_legacy):
    super().__init__(file, protocol=2)
    self.storages = {}
    # What would say that a storage is a part of another.
    self._last_fields = [None] if is_legacy else []
    self._keys = {}

  def persistent_id(self, obj):
    if not isinstance(obj, _Storage):
      return None
    storage = Global('torch', _STORAGES[obj.array.dtype.name])
    return ('storage', storage, obj.key, 'cpu', obj.array.size,
            *self._last_fields)

  def save_global_marker(self, obj):
    self.write(global_fragment('.'.join(obj)))
    self.memoize(obj)
  dispatch[Global] = save_global_marker

  def save_instance(self, obj):
    self.save(Global(obj.module, obj.name))
    self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
    self.memoize(obj)
    self.save(obj.state)
    self.write(pickle.BUILD)
  dispatch[Instance] = save_instance

  def save_view(self, obj):
    root, *place = obj
    key = self._keys.setdefault(id(root), str(len(self._keys)))
    self.storages[key] = root
    self.save_reduce(
        Global('torch._utils', '_rebuild_tensor_v2'),
        (_Storage(key, root), *place, False, collections.OrderedDict()),
        obj=obj)
  dispatch[View] = save_view

  def save_array(self, obj):
    array = np.array(obj, order='C')
    self.save(View(array, 0, array.shape, tuple(
        stride // array.itemsize for stride in array.strides)))
  dispatch[np.ndarray] = save_array


def fragment(value):
  """Returns the opcodes that push a value."""
  return pickle.dumps(value, protocol=2)[2:-1]


def global_fragment(path):
  """Returns the opcodes that push 'module.name'."""
  module, name = path.rsplit('.', 1)
  return pickle.GLOBAL + f'{module}\n{name}\n'.encode()


def call_fragment(function, *args):
  """Returns the opcodes that push `function(*args)`, all given as opcodes."""
  return function + pickle.MARK + b''.join(args) + pickle.TUPLE + pickle.REDUCE


def make_pickle(obj, is_legacy=False):
  """Returns the pickle of an object, and `{key: array}` of its storages."""
  file = io.BytesIO()
  pickler = _Pickler(file, is_legacy)
  pickler.dump(obj)
  return file.getvalue(), pickler.storages


def write_zip(path, data, storages, byteorder='little'):
  """Writes the zip format around a pickle.

  PyTorch before 2.1 did not write the entry `byteorder`, as with None.
  """
  folder = pathlib.Path(path).stem
  entries = {'data.pkl': data, '.format_version': b'1'}
  if byteorder is not None:
    entries['byteorder'] = byteorder.encode()
  entries |= {f'data/{key}': array.tobytes() for key, array in storages.items()}
  entries['version'] = b'3\n'
  with zipfile.ZipFile(path, 'w', zipfile.ZIP_STORED) as archive:
    for name, content in entries.items():
      # A fixed time, so that the bytes are the same in every run.
      archive.writestr(zipfile.ZipInfo(f'{folder}/{name}'), content)


def write_legacy(path, data, storages):
  """Writes the format before PyTorch 1.6 around a pickle; see `write_zip`."""
  system = {'protocol_version': _PROTOCOL_VERSION, 'little_endian': True,
            'type_sizes': {'short': 2, 'int': 4, 'long': 4}}
  keys = sorted(storages)
  with open(path, 'wb') as file:
    for header in (_MAGIC, _PROTOCOL_VERSION, system):
      file.write(pickle.dumps(header, protocol=2))
    file.write(data)
    file.write(pickle.dumps(keys, protocol=2))
    for key in keys:
      array = storages[key]
      file.write(struct.pack('<q', array.size))
      file.write(array.astype(array.dtype.newbyteorder('<')).tobytes())


def save_zip(path, obj):
  """Writes an object as `torch.save(obj, path)` does since PyTorch 1.6."""
  write_zip(path, *make_pickle(obj))
