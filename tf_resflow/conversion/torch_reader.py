"""A program that reads an untrusted PyTorch file.

  python -I -S torch_reader.py CPU_SECONDS MAX_BYTES < FILE

`torch_file.read` runs it. A pickle is a program: it names classes and
functions, and calls them. Here a name never leads to an import. Whatever the
pickle names becomes a `StandIn`, which only stores its arguments, so that
nothing is executed. A few bytes can still demand unlimited time or memory;
therefore this process reads the whole file under limits.

`torch.save` has written two formats: a zip archive (since 1.6), and earlier a
stream of pickles followed by the bytes of the tensors. Both hold one pickle of
the object, in which a tensor is a view of a storage, and one block of bytes
per storage. The output is JSON: `[value]`, or a string with the reason if there
is none. In the value None, booleans, numbers and strings are themselves, lists
and tuples are lists, dicts are `{"dict": [[key, value], ...]}`, without the
keys that are no strings, and tensors `{"tensor": [...]}`, the fields of a
`torch_file.Tensor` from its shape on. Objects are the dicts of their
attributes. Anything else, and any container nested in three others, is "<name
of its type>".
"""

import collections
import contextlib
import functools
import io
import json
import os
import pickle
import struct
import sys
from typing import Any, BinaryIO, NamedTuple
import zipfile

resource: Any = None
try:
  import resource
except ImportError:  # Not on Windows.
  pass

_ZIP_START = b'PK\x03\x04'
_MAGIC = 0x1950a86a20f9469cfc6c
_LEGACY_START = b'\x80\x02\x8a\x0a' + _MAGIC.to_bytes(10, 'little')

# Arguments and weights of a checkpoint are nested less deeply.
_MAX_DEPTH = 3
# Number of values, characters, and bits of integers; a checkpoint of 100 blocks
# has a million.
_MAX_SIZE = 10**7
_MAX_DIMS = 32  # The limit of NumPy 1.

# NumPy types of storages, by the PyTorch names of their classes.
_STORAGES = {
    'BFloat16': 'V2', 'Bool': 'u1', 'Byte': 'u1', 'Char': 'i1', 'Double': 'f8',
    'Float': 'f4', 'Half': 'f2', 'Int': 'i4', 'Long': 'i8', 'Short': 'i2',
    'Untyped': 'u1'}

_PARAMETERS = {
    'torch._utils._rebuild_parameter',
    'torch._utils._rebuild_parameter_with_state'}
_TENSORS = {'torch._utils._rebuild_tensor', 'torch._utils._rebuild_tensor_v2'}


class UnsupportedError(Exception):
  """The file may be valid, but is not supported."""


def _check(condition, reason, error=ValueError):
  if not condition:
    raise error(reason)


class StandIn:
  """Instance of a class, or result of a function, that the pickle names.

  Each `path`, 'module.name', has its own subclass.
  """

  __slots__ = ('args', 'state')
  args: tuple
  state: Any
  path = ''

  def __new__(cls, *args: object, **_kwargs: object) -> 'StandIn':
    self = super().__new__(cls)
    self.args, self.state = args, None
    return self

  def __setstate__(self, state: object) -> None:
    self.state = state

  def _drop(self, *_args: object) -> None:
    """Ignores the items of a container, which are not needed."""

  __setitem__ = add = append = extend = _drop


@functools.cache
def _stand_in(path):
  return type('StandIn', (StandIn,), {'__slots__': (), 'path': path})


class Storage(NamedTuple):
  """A block of numbers in the file, as the pickle of the object names it."""

  key: str
  dtype: str
  itemsize: int
  numel: int


class Unpickler(pickle.Unpickler):
  """Reads one pickle, of `StandIn`s, `Storage`s and plain objects.

  The file is left behind the last byte of the pickle.
  """

  def __init__(self, file: BinaryIO):
    super().__init__(file, encoding='latin1')  # Keeps Python 2's bytes, too.
    self.storages: dict[str, Storage] = {}

  def find_class(self, module: str, name: str) -> type:
    """Returns a class that does nothing, never the named class."""
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    return _stand_in(f'{module}.{name}')

  def persistent_load(self, saved_id: Any) -> object:
    """Returns the `Storage` of an id."""
    # PyTorch writes classes of modules in this way, to add their source.
    if saved_id[0] == 'module':
      return saved_id[1]
    # The location is a device, such as 'cuda:0'.
    name, storage_type, key, _location, numel, *view = saved_id
    _check(name == 'storage' and view in ([], [None]) and type(key) is str
           and type(numel) is int and 0 <= numel <= sys.maxsize,
           'a persistent id that is not that of a whole storage')
    dtype = _STORAGES.get(
        storage_type.path.rpartition('.')[2].removesuffix('Storage'), '')
    _check(dtype, f'It holds tensors of {storage_type.path[:100]!r}: convert '
           'them before they are saved.', UnsupportedError)
    storage = Storage(key, dtype, int(dtype[1:]), numel)
    _check(self.storages.setdefault(key, storage) == storage,
           f'two sizes or types of storage {key[:100]!r}')
    return storage


class Encoder:
  """Converts the results of an `Unpickler` to values for JSON.

  `starts` says where storages begin in the file, by their keys.
  """

  def __init__(self, starts: dict[str, int]):
    self._starts = starts
    self._size = 0

  def encode(self, value: Any, depth: int = 0) -> object:
    """Returns a result of a pickle, inside of `depth` containers, for JSON.

    Raises:
      ValueError: if it is too large, or a tensor that cannot be.
    """
    cls = type(value)
    self._size += 1 + (
        len(value) if cls is str else value.bit_length() if cls is int else 0)
    _check(self._size <= _MAX_SIZE, 'it holds too many objects')
    if value is None or cls in (bool, int, float, str):
      return value
    name = cls.__name__
    if isinstance(value, StandIn):
      if value.path in _PARAMETERS and value.args:
        return self.encode(value.args[0], depth)
      if value.path in _TENSORS and value.args:
        return self._tensor(*value.args)
      name, value = value.path, value.state
    if depth < _MAX_DEPTH and cls in (list, tuple):
      return [self.encode(v, depth + 1) for v in value]
    if depth < _MAX_DEPTH and isinstance(value, dict):
      # The pickle may have given the dict an attribute `items`.
      return {'dict': [[self.encode(k), self.encode(v, depth + 1)]
                       for k, v in dict.items(value) if type(k) is str]}
    return f'<{name[:100]}>'

  def _tensor(self, storage, offset, shape, strides, *rest):
    # Metadata can request to negate or conjugate the numbers.
    _check(not any(rest[2:]), 'It holds a tensor with pending conjugation or '
           'negation: save tensor.resolve_conj().resolve_neg().',
           UnsupportedError)
    # Nothing that a pickle makes can pass for a storage.
    _check(
        type(storage) is Storage
        and all(type(number) is int and 0 <= number <= sys.maxsize
                for number in (offset, *shape, *strides))
        and len(shape) == len(strides) <= _MAX_DIMS,
        'a tensor has an impossible shape, offset or strides')
    num_stored = 0 if 0 in shape else 1 + sum(
        (n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    _check(num_stored == 0 or offset + num_stored <= storage.numel,
           f'a tensor reaches to number {offset + num_stored} of a storage of '
           f'{storage.numel}')
    return {'tensor': [
        list(shape),
        # The stride of a single element means nothing, and may be any number.
        [stride * storage.itemsize if size > 1 else 0
         for size, stride in zip(shape, strides, strict=True)],
        self._starts[storage.key] + offset * storage.itemsize, num_stored,
        '<' + storage.dtype]}


def _read_zip(file):
  archive = zipfile.ZipFile(file)
  names = archive.namelist()
  folders = [name.removesuffix('data.pkl') for name in names
             if name.endswith('/data.pkl') and name.count('/') == 1]
  _check(
      len(folders) == 1 and f'{folders[0]}constants.pkl' not in names,
      'It is another zip archive, such as one of torch.jit.save: save '
      'the state_dict() of a module with torch.save.', UnsupportedError)
  (folder,) = folders
  # PyTorch does not compress; entries could be larger than the archive.
  _check(not any(info.compress_type for info in archive.infolist()),
         'an entry is compressed')
  broken = archive.testzip()
  _check(broken is None, f'wrong checksum of entry {broken}')
  _check(f'{folder}byteorder' not in names
         or archive.read(f'{folder}byteorder') == b'little',
         'It was written on a big-endian machine: save it on a little-endian '
         'one.', UnsupportedError)
  unpickler = Unpickler(io.BytesIO(archive.read(f'{folder}data.pkl')))
  value = unpickler.load()
  starts = {}
  for key, storage in unpickler.storages.items():
    info = archive.getinfo(f'{folder}data/{key}')
    _check(info.file_size == storage.itemsize * storage.numel,
           f'storage {key[:100]!r} holds {info.file_size} bytes where '
           f'{storage.itemsize * storage.numel} are expected')
    # After the header, whose name and extra field have variable lengths.
    file.seek(info.header_offset + 26)
    starts[key] = info.header_offset + 30 + sum(
        struct.unpack('<2H', file.read(4)))
  return Encoder(starts).encode(value)


def _read_legacy(file):
  unpicklers = [Unpickler(file) for _ in range(5)]
  # The third has the writer's byte order and sizes; but numbers are always
  # little-endian.
  magic, version, _, value, keys = [each.load() for each in unpicklers]
  _check((magic, version) == (_MAGIC, 1001),
         'wrong magic number or protocol version')
  storages = unpicklers[3].storages
  _check(isinstance(keys, list) and sorted(keys) == sorted(storages),
         'the list of storages disagrees with the tensors')
  starts = {}
  for key in keys:
    (numel,) = struct.unpack('<q', file.read(8))
    _check(numel == storages[key].numel,
           f'storage {key[:100]!r} has {numel} numbers')
    starts[key] = file.tell()
    file.seek(numel * storages[key].itemsize, os.SEEK_CUR)
  _check(file.tell() <= file.seek(0, os.SEEK_END),
         'the end of a tensor is missing')
  return Encoder(starts).encode(value)


def _read(file):
  head = file.read(len(_LEGACY_START))
  file.seek(0)
  if head.startswith(_ZIP_START):
    return _read_zip(file)
  _check(_LEGACY_START.startswith(head) or _ZIP_START.startswith(head),
         'It is neither a zip archive nor begins with the magic number of '
         f'torch.save, but with {head[:8]!r}.', UnsupportedError)
  return _read_legacy(file)


def read(file: BinaryIO) -> str:
  """Returns the JSON of a file; see the docstring of the module."""
  try:
    return json.dumps([_read(file)])
  except UnsupportedError as error:
    reason = str(error)
  except MemoryError:
    reason = 'It asks for too much memory.'
  except Exception as error:  # A damaged file can cause any.
    name = '' if type(error) is ValueError else f'{type(error).__name__}: '
    text = ' '.join(f'{name}{error}'.split())[:200]
    reason = f'It is truncated or damaged ({text}): download it again.'
  return json.dumps(reason)


def main(cpu_seconds: int, max_bytes: int) -> None:
  """Reads stdin under limits and prints JSON; see the module's docstring."""
  for name, value in {
      'RLIMIT_AS': max_bytes, 'RLIMIT_CPU': cpu_seconds, 'RLIMIT_CORE': 0,
      'RLIMIT_FSIZE': 0, 'RLIMIT_NPROC': 0}.items():
    # Not every platform has all, and macOS has limits that cannot be set.
    with contextlib.suppress(AttributeError, OSError, ValueError):
      limit = getattr(resource, name)
      resource.setrlimit(limit, (value, resource.getrlimit(limit)[1]))
  sys.stdout.write(read(sys.stdin.buffer))
  sys.stdout.flush()
  # Skips the destruction of objects, which may be nested deeply.
  os._exit(0)


if __name__ == '__main__':
  main(*map(int, sys.argv[1:]))
