"""Files of a run: paths, quick checks, atomic writes; without TensorFlow."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import os
import re
import secrets
import shutil
from typing import Any

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import paths
from tf_resflow.specs import spec

RUN_FLAGS = 'run.flags'
MODEL_JSON = 'model.json'
TRAIN_ROWS = 'train_rows.npy'
HELD_OUT = 'held_out.npz'
LOCK = 'run.lock'

# Files left by a process that was killed while creating the folder of a run.
_LEFTOVERS = {MODEL_JSON, TRAIN_ROWS, LOCK}
# Checkpoints of weights that were trained, not only initialised or converted.
_TRAINED = re.compile(r'ckpt-[1-9]\d*\.index')

# Temporary files of this package, and of TensorFlow's lists in former versions.
_TEMPORARY = re.compile(
    r'.+\.[0-9a-f]{8}\.tmp|checkpoint\.tmp[0-9a-f]{32}')
_UNFINISHED = re.compile(r'ckpt-\d+_temp')
_PATTERN_CHARACTERS = '[]*?\\'


def check_path(workdir: str | os.PathLike, writes: bool = False) -> None:
  """Checks that a path can be a run's folder, with `writes` a writable one.

  Raises:
    InvalidValueError: if it is no local folder, or TensorFlow could not find
      checkpoints there.
  """
  paths.check_folder('workdir', workdir, writes)
  errors.check(
      not set(_PATTERN_CHARACTERS) & set(os.fspath(workdir)), 'workdir',
      workdir, f'a path without any of {" ".join(_PATTERN_CHARACTERS)}',
      'TensorFlow treats them as file name patterns; rename the folder.')


def path_of(workdir: str, name: str) -> str:
  """Returns the path of a file of a run.

  Raises:
    InvalidValueError: if it does not exist.
  """
  check_path(workdir)
  path = os.path.join(workdir, name)
  errors.check(os.path.isfile(path), 'workdir', workdir, 'the folder of a run',
               f'There is no {name}; train with `tf_resflow train`.')
  return path


def load_config(
    workdir: str, imports: Iterable[str] = ()) -> configuration.Config:
  """Returns the configuration of the run in a folder; see `tf_resflow.load`.

  Raises:
    InvalidValueError: if the folder is not a run, or `imports` lacks a module.
  """
  return flags_lib.from_flagfile(
      path_of(workdir, RUN_FLAGS), path_of(workdir, MODEL_JSON), imports)


def stored_config(
    workdir: str, imports: Iterable[str] = ()) -> configuration.Config | None:
  """Returns the configuration of the run in a folder; None if there is none.

  Raises:
    InvalidValueError: see `load_config`, and if the folder has other files.
  """
  check_path(workdir)
  if os.path.exists(os.path.join(workdir, RUN_FLAGS)):
    return load_config(workdir, imports)
  errors.check(
      all(name in _LEFTOVERS or _TEMPORARY.fullmatch(name)
          for name in names(workdir)), 'workdir', workdir,
      'a new or empty folder, or the folder of a run',
      f'It has files, but no {RUN_FLAGS}.')
  return None


def check_run(
    workdir: str, config: configuration.Config) -> configuration.Config | None:
  """Checks a folder to start or continue a run in, as far as is quick.

  Returns:
    The configuration of the run that is there, if there is one.

  Raises:
    InvalidValueError: if the folder holds a trained run of another
      configuration, or other files; see `workdir.check`.
  """
  previous = stored_config(workdir, config.run.imports)
  if previous is not None and any(map(
      _TRAINED.fullmatch, names(os.path.join(workdir, 'checkpoints')))):
    check_equal(workdir, config.differences(previous))
  return previous


def check_equal(
    workdir: str, differences: Mapping[str, tuple[Any, Any]],
    expected: str = 'a run of this configuration', mark: str = '--') -> None:
  """Raises `InvalidValueError` if a run has other values, and names them."""
  listed = ', '.join(
      f'{mark}{name} was {spec.text_of(theirs) or "none"} and is '
      f'{spec.text_of(ours) or "none"}'
      for name, (ours, theirs) in differences.items())
  errors.check(
      not differences, 'workdir', workdir, expected, f'In that run {listed}. '
      f'Continue it with --flagfile={os.path.join(workdir, RUN_FLAGS)}, or '
      'take another workdir.')


def first_line(error: Exception) -> str:
  """Returns the first line of an error, without a full stop."""
  text = str(error).strip() or type(error).__name__
  return errors.sentence(text.splitlines()[0]).rstrip('.')


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
  """Converts errors of TensorFlow, such as a full disk, to `OSError`."""
  import tensorflow as tf

  try:
    yield
  except tf.errors.OpError as error:
    raise OSError(f'{what} cannot be written: {first_line(error)}.') from error


def names(folder: str | os.PathLike) -> set[str]:
  """Returns the names in a folder; none if it does not exist."""
  return set(os.listdir(folder)) if os.path.isdir(folder) else set()


def read_text(path: str) -> str:
  """Returns the text of a file, '' without one; other bytes are replaced."""
  if not os.path.exists(path):
    return ''
  with open(path, encoding='utf-8', errors='replace') as file:
    return file.read()


def write_text(path: str, text: str) -> None:
  """Writes a file in UTF-8; see `write_bytes`."""
  write_bytes(path, text.encode())


def write_bytes(path: str, data: bytes,
                check_fn: Callable[[], object] = bool) -> None:
  """Writes a file atomically.

  `check_fn` is called before it takes the place of an earlier one, which stays
  if that raises an error.
  """
  temporary = temporary_name(path)
  try:
    with open(temporary, 'xb') as f:
      f.write(data)
      f.flush()
      os.fsync(f.fileno())
    check_fn()
    os.replace(temporary, path)
  finally:
    with contextlib.suppress(OSError):
      os.unlink(temporary)


def temporary_name(path: str) -> str:
  """Returns the name of a new file beside another, to be renamed to it."""
  return f'{path}.{secrets.token_hex(4)}.tmp'


def clean(workdir: str) -> None:
  """Removes what killed processes left: temporary files, unfinished saves.

  No other process may write to the folder.

  Raises:
    InvalidValueError: if a file of the run is a link, which would be written
      through; its folders may be links.
  """
  paths_ = [os.path.join(workdir, folder, name)
            for folder in ('checkpoints', 'best', 'tensorboard', 'samples')
            for name in sorted(names(os.path.join(workdir, folder)))]
  for path in paths_:
    errors.check(not os.path.islink(path), 'workdir', workdir,
                 'a run without links among its files',
                 f'{path} is one; put a copy in its place.')
  for path in [*paths_, *(os.path.join(workdir, n) for n in names(workdir))]:
    name = os.path.basename(path)
    if _TEMPORARY.fullmatch(name) and os.path.isfile(path):
      os.unlink(path)
    elif _UNFINISHED.fullmatch(name) and path in paths_:
      shutil.rmtree(path)


def quarantine_name(path: str) -> str:
  """Returns a free name for a damaged file, or the start of those of several.

  It is `path.damaged`, or from the second on `path.damaged-NUMBER`.
  """
  new, number, taken = f'{path}.damaged', 1, names(os.path.dirname(path) or '.')
  while any(f'{name}.'.startswith(f'{os.path.basename(new)}.')
            for name in taken):
    number += 1
    new = f'{path}.damaged-{number}'
  return new
