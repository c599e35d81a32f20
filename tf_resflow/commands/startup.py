"""Imports TensorFlow without its start-up lines."""

from collections.abc import Iterator
import contextlib
import os
import sys
import tempfile

_LEVEL = 'TF_CPP_MIN_LOG_LEVEL'


def load_tensorflow(show_log: bool = False) -> None:
  """Imports TensorFlow.

  Args:
    show_log: whether its own lines go to stderr. They do as well where the
      environment sets TF_CPP_MIN_LOG_LEVEL.
  """
  if 'tensorflow' in sys.modules:
    return
  if show_log or _LEVEL in os.environ:
    import tensorflow
    return
  os.environ[_LEVEL] = '3'
  with _held_back_stderr():
    import tensorflow  # noqa: F401


@contextlib.contextmanager
def _held_back_stderr() -> Iterator[None]:
  """Drops what the process writes to stderr, unless an error ends the block.

  TensorFlow's libraries write some lines before they ask how much to log.
  """
  sys.stderr.flush()
  stderr = os.dup(2)
  with tempfile.TemporaryFile() as file:
    os.dup2(file.fileno(), 2)
    try:
      yield
    except BaseException:
      file.seek(0)
      os.write(stderr, file.read())
      raise
    finally:
      sys.stderr.flush()
      os.dup2(stderr, 2)
      os.close(stderr)
