"""Reads pickles of unknown origin; builds only plain and inert objects.

A pickle is a program: it names globals, which are imported, and calls them.
Here a name never leads to an import. It is looked up in a table of harmless
constructors, and whatever the table lacks becomes a class of `StandIn`. Only
these two can be called, and only what one pickle has made itself can be
changed by it.
"""

import collections
import dataclasses
import pickle
import struct
from typing import Any

import numpy as np

# Of one pickle, so that a short one cannot fill the memory with copies.
_MAX_COPIED_BYTES = 2**30
_BYTES_PER_ITEM = 64
# Hashing a tuple hashes its parts: deep nesting overflows the C stack, and
# tuples that contain one another twice take exponential time.
_MAX_KEY_PARTS = 1000

_PYTHON_2_MODULES = {'__builtin__': 'builtins', 'copy_reg': 'copyreg'}
_NUMPY_CODES = {'b1', 'c8', 'c16', 'f2', 'f4', 'f8',
                'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8'}

# What a broken pickle may raise. Not OSError, which tells of the disk.
_ERRORS = (pickle.UnpicklingError, ArithmeticError, AttributeError,
           EOFError, ImportError, LookupError, MemoryError, RuntimeError,
           struct.error, TypeError, ValueError)


class UnsupportedError(ValueError):
  """The pickle may be sound, but holds what is not supported here."""


class StandIn:
  """Instance of a class that only the writer of the pickle knows.

  Every class of the pickle has its own subclass, made for one `load`. The
  arguments of the constructor, and items if it is a container, are dropped.

  Attributes:
    path: 'module.name' of the class; also an attribute of the class.
    state: dict of the object's attributes. They are not attributes of the
      stand-in, whose methods they could hide.
  """

  __slots__ = ('state',)
  path = ''

  def __init__(self, *_args, **_kwargs):
    self.state = {}

  def __repr__(self):
    return f'<StandIn {self.path!r}>'


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Function:
  """A constructor that pickles may call.

  A pickle sees this object and not the function, so it can set no attribute.

  Attributes:
    path: 'module.name' by which pickles know it.
    fn: what is called; it must refuse arguments that would do harm.
  """

  path: str
  fn: Any


class _NumpyDtype:
  __slots__ = ('code', 'order')

  def __init__(self, code, *_flags):
    if not isinstance(code, str) or code not in _NUMPY_CODES:
      raise UnsupportedError(
          f'NumPy dtype {_short(code)}, expected one of '
          f'{", ".join(sorted(_NUMPY_CODES))}; save numbers as Python numbers')
    self.code = code
    self.order = '='

  def set_state(self, state):
    _version, order, *_ = state
    if not isinstance(order, str) or order not in tuple('<>|='):
      raise pickle.UnpicklingError('wrong state of a NumPy dtype')
    self.order = order


def is_stand_in_class(value):
  """Returns whether `value` is the stand-in of a class itself."""
  return isinstance(value, type) and issubclass(value, StandIn)


def one_line(error):
  """Returns an exception as one short line."""
  if isinstance(error, EOFError):
    return 'it ends early'
  text = ' '.join(str(error).split())[:300]
  if isinstance(error, (ValueError, pickle.UnpicklingError)) and text:
    return text
  return f'{type(error).__name__}: {text}'.removesuffix(': ')


def _short(value):
  """Describes a value without walking through it."""
  if isinstance(value, (str, int)):
    return repr(value)[:80]
  return f'of type {type(value).__name__}'


def _check_key(key):
  todo = [key]
  for _ in range(_MAX_KEY_PARTS):
    if not todo:
      return
    part = todo.pop()
    if isinstance(part, tuple):
      todo.extend(part[:_MAX_KEY_PARTS])
  raise pickle.UnpicklingError('a key is a tuple of too many parts')


def _check_types(values, *types):
  for value in values:
    if not isinstance(value, types):
      raise pickle.UnpicklingError(f'wrong argument {_short(value)}')


def _fill(target, pairs):
  for key, value in pairs:
    _check_key(key)
    target[key] = value
  return target


def _make_dict(pairs=()):
  return _fill({}, pairs.items() if isinstance(pairs, dict) else pairs)


def _make_set(keys=()):
  for key in keys:
    _check_key(key)
  return set(keys)


def _make_bytes(data=b'', *encoding):
  if encoding:
    return _encode(data, *encoding)
  # No int, which would be the number of bytes to allocate.
  _check_types([data], bytes, bytearray, list)
  return bytes(data)


def _make_str(value=''):
  # Containers that contain one another could become very long.
  _check_types([value], str, int, float, complex)
  return str(value)


def _make_slice(*args):
  _check_types(args, int, type(None))  # Hashable as a whole.
  return slice(*args)


def _encode(text, encoding='latin1'):
  """How Python 3 writes bytes for Python 2."""
  if (not isinstance(text, str) or not isinstance(encoding, str)
      or encoding not in ('latin1', 'latin-1')):
    raise pickle.UnpicklingError('encode() of other than (str, latin1)')
  return text.encode('latin1')


def _reconstruct(cls, *_args):
  """Makes an object of a class by whichever function of `copyreg`."""
  if not is_stand_in_class(cls):
    raise pickle.UnpicklingError(f'an object of {_short(cls)}')
  return cls()


def _make_scalar(dtype, data):
  if not isinstance(dtype, _NumpyDtype):
    raise pickle.UnpicklingError('a NumPy scalar without a dtype')
  if isinstance(data, str):  # By Python 2.
    data = data.encode('latin1')
  kind = np.dtype(dtype.code).newbyteorder(dtype.order)
  if not isinstance(data, bytes) or len(data) != kind.itemsize:
    raise pickle.UnpicklingError(f'wrong data of a NumPy scalar of {kind}')
  return np.frombuffer(data, kind)[0]


def function_table(functions):
  """Makes the `Function`s of `{'module.name': callable}`.

  Returns:
    `{(module, name): Function}`, for `load`.
  """
  return {tuple(path.rsplit('.', 1)): Function(path, fn)
          for path, fn in functions.items()}


_GLOBALS = function_table({
    '_codecs.encode': _encode,
    'builtins.bool': bool,
    'builtins.bytearray': lambda *args: bytearray(_make_bytes(*args)),
    'builtins.bytes': _make_bytes,
    'builtins.complex': complex,
    'builtins.dict': _make_dict,
    'builtins.float': float,
    'builtins.frozenset': lambda keys=(): frozenset(_make_set(keys)),
    'builtins.int': int,
    'builtins.list': list,
    'builtins.set': _make_set,
    'builtins.slice': _make_slice,
    'builtins.str': _make_str,
    'builtins.tuple': tuple,
    'collections.OrderedDict':
        lambda pairs=(): collections.OrderedDict(_make_dict(pairs)),
    'copyreg.__newobj__': _reconstruct,
    'copyreg.__newobj_ex__': _reconstruct,
    'copyreg._reconstructor': _reconstruct,
    'numpy._core.multiarray.scalar': _make_scalar,
    'numpy.core.multiarray.scalar': _make_scalar,
    'numpy.dtype': _NumpyDtype,
})


class _Opcodes(dict):

  def __missing__(self, opcode):
    raise pickle.UnpicklingError(f'unknown opcode {opcode}')


# The unpickler in C would look into copyreg's registry of extensions without
# asking, and allocate as much memory as the largest memo index it reads.
class _Unpickler(pickle._Unpickler):
  """Replaces every opcode that looks up, calls or changes something."""

  dispatch = _Opcodes(pickle._Unpickler.dispatch)

  def __init__(self, file, extra_globals, persistent_load):
    super().__init__(file, encoding='latin1')  # Keeps Python 2's bytes, too.
    self._globals = {**_GLOBALS, **extra_globals}
    self._stand_ins = {}
    self._num_copied_bytes = 0
    if persistent_load is not None:
      self.persistent_load = persistent_load

  def find_class(self, module, name):
    key = (_PYTHON_2_MODULES.get(module, module), name)
    if key in self._globals:
      return self._globals[key]
    if key not in self._stand_ins:
      self._stand_ins[key] = type(
          'StandIn', (StandIn,), {'__slots__': (), 'path': '.'.join(key)})
    return self._stand_ins[key]

  def get_extension(self, code):
    raise pickle.UnpicklingError(f'extension {code}')

  def _count_copy(self, value):
    if isinstance(value, (bytes, bytearray, str)):
      self._num_copied_bytes += len(value)
    elif isinstance(value, (dict, frozenset, list, set, tuple)):
      self._num_copied_bytes += _BYTES_PER_ITEM * len(value)
    if self._num_copied_bytes > _MAX_COPIED_BYTES:
      raise pickle.UnpicklingError('too many copies')

  def _call(self, function, args):
    if not isinstance(args, (list, tuple)):
      raise pickle.UnpicklingError('a call without a tuple of arguments')
    if isinstance(function, Function):
      for arg in args:
        self._count_copy(arg)
      return function.fn(*args)
    if is_stand_in_class(function):
      return function()
    if isinstance(function, StandIn):
      return type(function)()
    raise pickle.UnpicklingError(f'a call of {_short(function)}')

  def _instantiate(self, klass, args):  # For INST and OBJ.
    self.append(self._call(klass, args))

  def _load_call(self):
    args, function = self.stack.pop(), self.stack.pop()
    self.append(self._call(function, args))
  dispatch[pickle.REDUCE[0]] = _load_call
  dispatch[pickle.NEWOBJ[0]] = _load_call

  def _load_newobj_ex(self):
    if self.stack.pop() and not is_stand_in_class(self.stack[-2]):
      raise pickle.UnpicklingError('a call with keywords')
    self._load_call()
  dispatch[pickle.NEWOBJ_EX[0]] = _load_newobj_ex

  def _load_build(self):
    state, target = self.stack.pop(), self.stack[-1]
    if isinstance(target, StandIn):
      # A pair has those in slots as well; others are for a __setstate__.
      is_pair = isinstance(state, tuple) and len(state) == 2
      for part in state if is_pair else (state,):
        if isinstance(part, dict):
          self._count_copy(part)
          target.state.update(part)
    elif isinstance(target, _NumpyDtype):
      target.set_state(state)
    elif not isinstance(target, collections.OrderedDict):
      raise pickle.UnpicklingError(f'a change of {_short(target)}')
  dispatch[pickle.BUILD[0]] = _load_build

  def _top(self, kind):
    """Returns the container that the next items are for."""
    target = self.stack[-1]
    if isinstance(target, StandIn):
      return kind()  # To be dropped.
    if not isinstance(target, kind):
      raise pickle.UnpicklingError(f'items for {_short(target)}')
    return target

  def _load_append(self):
    item = self.stack.pop()
    self._top(list).append(item)
  dispatch[pickle.APPEND[0]] = _load_append

  def _load_appends(self):
    items = self.pop_mark()
    self._top(list).extend(items)
  dispatch[pickle.APPENDS[0]] = _load_appends

  def _load_setitem(self):
    value, key = self.stack.pop(), self.stack.pop()
    _fill(self._top(dict), [(key, value)])
  dispatch[pickle.SETITEM[0]] = _load_setitem

  def _load_setitems(self):
    items = self.pop_mark()
    _fill(self._top(dict), zip(items[::2], items[1::2], strict=True))
  dispatch[pickle.SETITEMS[0]] = _load_setitems

  def _load_dict(self):
    items = self.pop_mark()
    self.append(_fill({}, zip(items[::2], items[1::2], strict=True)))
  dispatch[pickle.DICT[0]] = _load_dict

  def _load_additems(self):
    items = self.pop_mark()
    self._top(set).update(_make_set(items))
  dispatch[pickle.ADDITEMS[0]] = _load_additems

  def _load_frozenset(self):
    items = self.pop_mark()  # Which gives `self` another `append`.
    self.append(frozenset(_make_set(items)))
  dispatch[pickle.FROZENSET[0]] = _load_frozenset

  def _load_bytearray(self):
    # Reads before it allocates, unlike the method that it replaces.
    self.append(bytearray(self.read(struct.unpack('<Q', self.read(8))[0])))
  dispatch[pickle.BYTEARRAY8[0]] = _load_bytearray

  def _load_readonly_buffer(self):
    raise pickle.UnpicklingError('an out-of-band buffer')
  dispatch[pickle.READONLY_BUFFER[0]] = _load_readonly_buffer


def load(file, extra_globals=None, persistent_load=None):
  """Reads one pickle, without running anything that it brings along.

  Args:
    file: binary file; left behind the last byte of the pickle.
    extra_globals: `{(module, name): object}` of what the pickle may name
      besides plain Python objects and NumPy scalars; `Function`s if they are
      to be called.
    persistent_load: `persistent_load(saved_id)` makes the object of a
      persistent id, or raises. None refuses them all.

  Returns:
    The object, of plain containers, numbers, strings, bytes, NumPy scalars,
    the `extra_globals` and their results, and `StandIn`s. Attributes of
    containers, such as the `_metadata` of a state dict, are dropped.

  Raises:
    UnsupportedError: a part of the pickle is not supported.
    ValueError: the pickle is broken, or does what no checkpoint needs.

  Example:
    >>> import io
    >>> load(io.BytesIO(pickle.dumps(print)))
    <class 'tf_resflow.conversion.unpickler.StandIn'>
  """
  try:
    return _Unpickler(file, extra_globals or {}, persistent_load).load()
  except UnsupportedError:
    raise
  except _ERRORS as error:
    raise ValueError(
        f'broken or refused pickle: {one_line(error)}') from error
