"""Writing files: whole or not at all, and errors as Python has them."""

from collections.abc import Iterator
import contextlib
import os

import tensorflow as tf


def first_line(error: Exception) -> str:
  """Returns what an error says first, without a full stop."""
  text = str(error).strip() or type(error).__name__
  return text.splitlines()[0].rstrip('.')


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
  """Inside, errors of TensorFlow, as of a full disk, become `OSError`.

  Args:
    what: is written, for the message.
  """
  try:
    yield
  except tf.errors.OpError as error:
    raise OSError(
        f'{what} cannot be written: {first_line(error)}.') from error


def names(folder: str) -> set[str]:
  """Returns the names in a folder, none where there is no folder."""
  return set(os.listdir(folder)) if os.path.isdir(folder) else set()


def write_text(path: str, text: str) -> None:
  """Writes a file, whole or not at all."""
  temporary = f'{path}.tmp'
  with open(temporary, 'w', encoding='utf-8') as f:
    f.write(text)
    f.flush()
    os.fsync(f.fileno())
  os.replace(temporary, path)
