"""Loads pickles of unknown origin, in a child process under limits."""

from collections.abc import Callable
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys

from tf_resflow import errors

# A checkpoint of 100 blocks takes 0.2 s and 30 MB. The clock is for platforms
# without the other limits.
_CPU_SECONDS = 10
_CLOCK_SECONDS = 60
_MAX_BYTES = 2**30


@dataclasses.dataclass(frozen=True)
class Object:
  """What a pickle names by 'module.name', and what it wants to do with it.

  Attributes:
    path: 'module.name' of a class or function; of plain objects that are not
      read, such as sets, the name of their type.
    args: list of what it is called with.
    state: what is set as the state of the result, or None.
  """

  path: str
  args: list = dataclasses.field(default_factory=list)
  state: object = None


def load(
    path: str | os.PathLike,
    start: int = 0,
    count: int = 1,
    make_fn: Callable[[Object], object] = lambda obj: obj,
) -> tuple[list, int]:
  """Reads pickles that follow one another in a file; executes nothing.

  Args:
    path: of the file.
    start: where the first pickle begins, in bytes.
    count: how many there are.
    make_fn: is called with every `Object`, those in its `args` and `state`
      first; what it returns takes the object's place. Persistent ids have the
      path 'persistent id' and the id as their one argument; it sees them all.

  Returns:
    The values, and where the last pickle ends. Values consist of None,
    booleans, numbers, strings, lists (of tuples, too), dicts and `Object`s.
    Dicts inside of three others are left out: they are an `Object` 'dict'.

  Raises:
    OSError: if the file cannot be opened.
    ValueError: why the pickles cannot be read; or of `make_fn`.

  Example:
    >>> import pickle
    >>> _ = pathlib.Path('a.pkl').write_bytes(pickle.dumps([1, print]))
    >>> load('a.pkl')
    ([[1, Object(path='builtins.print', args=[], state=None)]], 39)
  """
  # By path, without the user's environment: nothing of this package, of
  # site-packages or of the current folder is imported.
  command = [
      sys.executable, '-I', '-S', pathlib.Path(__file__).with_name(
          'unpickler.py'), start, count, _CPU_SECONDS, _MAX_BYTES]
  with open(path, 'rb') as file:
    try:
      process = subprocess.run(
          [str(part) for part in command], stdin=file, stdout=subprocess.PIPE,
          stderr=subprocess.DEVNULL, timeout=_CLOCK_SECONDS, check=True)
    except subprocess.SubprocessError as error:
      is_late = isinstance(error, subprocess.TimeoutExpired) or (
          error.returncode == -getattr(signal, 'SIGXCPU', 0))
      raise errors.FormatError(
          'reading it takes too much time' if is_late
          else 'reading it crashes') from None
  result = json.loads(process.stdout, object_hook=lambda node: (
      dict(node['dict']) if 'dict' in node else make_fn(Object(**node))))
  errors.check_format(not isinstance(result, str), result)
  values, _, end = result
  return values, end
