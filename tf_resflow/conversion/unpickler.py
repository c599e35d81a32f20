"""Reads pickles of unknown origin; a program that `pickles.load` runs.

A pickle is a program: it names classes and functions, and calls them. Here a
name never leads to an import. Whatever the pickle names becomes a `StandIn`,
which does nothing but remember what it is given, so that nothing is executed.
A few bytes can still ask for endless time or memory. Therefore a process of
its own, under limits, reads the pickles and prints what they hold:

  python -I -S unpickler.py START COUNT CPU_SECONDS MAX_BYTES < FILE

The output is JSON: `[values, persistent ids, end]`, or a string that says why
there is none. None, booleans, numbers and strings are themselves, lists and
tuples are lists, dicts are `{"dict": [[key, value], ...]}`, and anything else
is `{"path": "module.name", "args": ..., "state": ...}`. Persistent ids have the
path "persistent id" and are listed whether or not the values show them. Dicts
inside of three others are left out.

This file imports the standard library alone and starts in some 20 ms.
"""

import collections
import functools
import json
import os
import pickle
import sys
from typing import BinaryIO

try:
  import resource
except ImportError:  # Not on Windows.
  resource = None

# The arguments of a checkpoint and its weights are less deep.
_MAX_DICTS = 3
# Of values and characters; a checkpoint of 100 blocks has a million.
_MAX_SIZE = 10**7
# The hash of a smaller number is the number itself, so that no two collide.
_MAX_KEY = 2**60


class StandIn:
  """Instance of a class, or result of a function, that the pickle names.

  Attributes:
    path: 'module.name'; each has its own subclass of `StandIn`.
    args: what it was called with.
    state: what the pickle sets as its state.
  """

  __slots__ = ('args', 'state')
  path = ''

  def __new__(cls, *args: object, **_kwargs: object) -> 'StandIn':
    self = super().__new__(cls)
    self.args, self.state = args, None
    return self

  def __setstate__(self, state: object) -> None:
    self.state = state

  def __call__(self, *_args: object) -> 'StandIn':
    return self

  def _drop(self, *_args: object) -> None:
    """Takes the items of a container, which nobody needs."""

  __setitem__ = add = append = extend = _drop


@functools.cache
def _stand_in(path):
  return type('StandIn', (StandIn,), {'__slots__': (), 'path': path})


class Unpickler(pickle.Unpickler):
  """Reads one pickle, of `StandIn`s and plain objects.

  Args:
    file: left behind the last byte of the pickle.

  Attributes:
    persistent_ids: a `StandIn` for each, in their order.
  """

  def __init__(self, file: BinaryIO):
    super().__init__(file, encoding='latin1')  # Keeps Python 2's bytes, too.
    self.persistent_ids: list[StandIn] = []

  def find_class(self, module: str, name: str) -> type:
    """Returns a class that does nothing; never that of the name."""
    if (module, name) == ('collections', 'OrderedDict'):
      return collections.OrderedDict
    return _stand_in(f'{module}.{name}')

  def persistent_load(self, saved_id: object) -> object:
    """Returns a stand-in with the id as its arguments."""
    # PyTorch writes classes of modules in this way, to add their source.
    if isinstance(saved_id, tuple) and saved_id[:1] == ('module',):
      return saved_id[1]
    self.persistent_ids.append(_stand_in('persistent id')(saved_id))
    return self.persistent_ids[-1]


class Encoder:
  """Turns what an `Unpickler` returns into values for JSON."""

  def __init__(self):
    self._size = 0

  def encode(self, value: object, num_dicts: int = 0) -> object:
    """Returns a value for JSON.

    Args:
      value: whatever a pickle made.
      num_dicts: that the value is inside of.

    Raises:
      RecursionError: if it is nested too deeply.
      pickle.UnpicklingError: if it is too large.
    """
    kind = type(value)
    self._size += 1 + (len(value) if kind is str else 0)
    if self._size > _MAX_SIZE:
      raise pickle.UnpicklingError('it holds too many objects')
    if value is None or kind in (bool, int, float, str):
      return value
    if kind in (list, tuple):
      return [self.encode(v, num_dicts) for v in value]
    if isinstance(value, dict) and num_dicts < _MAX_DICTS:
      # The pickle may have given the dict an attribute `items`.
      return {'dict': [[_checked_key(k), self.encode(v, num_dicts + 1)]
                       for k, v in dict.items(value)]}
    if not isinstance(value, StandIn):
      is_class = kind is type and issubclass(value, StandIn)
      value = value() if is_class else _stand_in(kind.__name__)()
    return {'path': self.encode(value.path),
            'args': self.encode(value.args, num_dicts),
            'state': self.encode(value.state, num_dicts)}


def _checked_key(key):
  if type(key) is str or type(key) is int and abs(key) < _MAX_KEY:
    return key
  raise pickle.UnpicklingError(
      f'a key is of type {type(key).__name__}, or a huge number')


def read(file: BinaryIO, count: int) -> str:
  """Returns the JSON of `count` pickles that follow one another."""
  try:
    unpicklers = [Unpickler(file) for _ in range(count)]
    values = [unpickler.load() for unpickler in unpicklers]
    encoder = Encoder()
    return json.dumps([
        encoder.encode(values),
        [encoder.encode(u.persistent_ids) for u in unpicklers], file.tell()])
  except MemoryError:
    return '"it asks for too much memory"'  # None is left for JSON.
  except Exception as error:  # Whatever a broken pickle makes of the reader.
    return json.dumps(
        ' '.join(f'{type(error).__name__}: {error}'.split())[:200])


def main(start: int, count: int, cpu_seconds: int, max_bytes: int) -> None:
  """Reads pickles from stdin and prints them; see the top of the file."""
  for name, value in {
      'RLIMIT_AS': max_bytes, 'RLIMIT_CPU': cpu_seconds, 'RLIMIT_CORE': 0,
      'RLIMIT_FSIZE': 0, 'RLIMIT_NPROC': 0}.items():
    try:
      kind = getattr(resource, name)
      resource.setrlimit(kind, (value, resource.getrlimit(kind)[1]))
    except (AttributeError, OSError, ValueError):
      # Not every platform has all, and macOS knows limits that it does not let
      # anybody set.
      pass
  sys.stdin.buffer.seek(start)
  sys.stdout.write(read(sys.stdin.buffer, count))
  sys.stdout.flush()
  # Without taking apart what may be nested deeply.
  os._exit(0)


if __name__ == '__main__':
  main(*map(int, sys.argv[1:]))
