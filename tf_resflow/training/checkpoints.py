"""The checkpoints of a run: which is the latest, writing, reading.

They stand in `WORKDIR/checkpoints`: `ckpt-STEP.index`, written last, and its
data files. TensorFlow's file `checkpoint` there lists them, but what counts is
the newest one whose files are complete: a copy may lack the list.
"""

import collections
from collections.abc import Iterable, Iterator
import contextlib
import logging
import os
import re

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.training import files
from tf_resflow.training import metrics

_logger = logging.getLogger(__name__)

_LIST = 'checkpoint'
_DATA = re.compile(r'ckpt-(\d+)\.data-\d+-of-(\d+)')

# TensorFlow turns an unexpected end of a file into an IndexError, and an object
# that is missing there into an AssertionError.
_UNREADABLE = (AssertionError, IndexError, ValueError, tf.errors.OpError)
# Its errors of damaged files differ in nothing else from those of good ones
# that it may not read or does not find.
_DAMAGED = re.compile(
    'checksum|sstable|corrupt|truncated|Read less bytes', re.IGNORECASE)


def _complete_steps(folder: str) -> list[int]:
  """Returns the steps of the checkpoints all of whose files are there."""
  names = files.names(folder)
  found = collections.Counter(
      match.groups() for match in map(_DATA.fullmatch, names) if match)
  return sorted(
      int(step) for (step, num_files), count in found.items()
      if count == int(num_files) and f'ckpt-{step}.index' in names)


def complete(folder: str) -> list[str]:
  """Returns the paths of the checkpoints in a folder, in the order of steps.

  Without the suffixes of their files, all of which are there.
  """
  return [os.path.join(folder, f'ckpt-{step}')
          for step in _complete_steps(folder)]


def _listed(folder: str) -> list[str]:
  """Returns the names that TensorFlow's list has, none if it is unreadable."""
  try:
    state = tf.train.get_checkpoint_state(folder)
  except ValueError:  # Of an empty list, and of what is no text.
    return []
  return [os.path.basename(path)
          for path in (state.all_model_checkpoint_paths if state else ())]


def latest(workdir: str) -> str | None:
  """Returns the path of the newest complete checkpoint.

  Args:
    workdir: folder of a run.

  Returns:
    The path without the suffixes of its files; None before the first.

  Raises:
    InvalidValueError: if checkpoints were written and none is left.
  """
  folder = os.path.join(workdir, 'checkpoints')
  paths = complete(folder)
  if paths:
    return paths[-1]
  last_step = metrics.last_step(workdir)
  is_lost = last_step is not None or any(
      name == _LIST or name.endswith('.index')
      for name in files.names(folder))
  errors.check(
      not is_lost, 'workdir', workdir, 'a run with a complete checkpoint',
      f'None is left in {folder}' + (
          f', but metrics.csv ends at step {last_step}'
          if last_step is not None else '') +
      '; copy one back, or name another folder to start again.')
  return None


def write_list(folder: str, names: Iterable[str]) -> None:
  """Writes TensorFlow's list of a folder; the last name is the latest."""
  *_, newest = names = list(names)
  # TensorFlow passes over names without a time after 0, the default.
  files.write_text(os.path.join(folder, _LIST), '\n'.join([
      f'model_checkpoint_path: "{newest}"',
      *(f'all_model_checkpoint_paths: "{name}"\n'
        'all_model_checkpoint_timestamps: 1.0' for name in names), '']))


def make_manager(
    checkpoint: tf.train.Checkpoint, workdir: str, num_to_keep: int
) -> tf.train.CheckpointManager:
  """Returns the writer of a run's checkpoints.

  Where TensorFlow's list is missing, damaged or behind, it is mended, with a
  line in the log. Checkpoints that it did not have are never deleted, but for
  the newest in its turn.

  Args:
    checkpoint: what is to be saved.
    workdir: folder of the run.
    num_to_keep: number of latest checkpoints that saving leaves.
  """
  folder = os.path.join(workdir, 'checkpoints')
  newest, listed = os.path.basename(latest(workdir) or ''), _listed(folder)
  if newest and listed[-1:] != [newest]:
    _logger.warning(
        '%s names %s as the latest; going on from %s, the newest complete '
        'checkpoint.', os.path.join(folder, _LIST),
        listed[-1] if listed else 'nothing', newest)
    names = map(os.path.basename, complete(folder))
    write_list(folder, [n for n in names if n in [*listed, newest]])
  return tf.train.CheckpointManager(
      checkpoint, folder, max_to_keep=num_to_keep)


def restore(
    checkpoint: tf.train.Checkpoint, path: str, partial: bool = False) -> None:
  """Loads a checkpoint.

  Args:
    checkpoint: what to load.
    path: of a checkpoint, without the suffixes of its files.
    partial: whether the file may hold more than `checkpoint` asks for.

  Raises:
    InvalidValueError: if a file is damaged or does not fit.
  """
  with reading(path):
    status = checkpoint.restore(path)
    if partial:
      status.assert_existing_objects_matched().expect_partial()
    else:
      status.assert_consumed()


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
  """Inside, the errors of a checkpoint's files say what to do."""
  try:
    yield
  except _UNREADABLE as error:
    said = f'{files.first_line(error)}.'
    if _DAMAGED.search(str(error)):
      raise errors.InvalidValueError(
          'file', path, 'undamaged files',
          f'{said} Delete its files to go on without it.') from error
    raise errors.InvalidValueError(
        'file', path, 'readable files that fit the configuration',
        said) from error


def has_optimizer(path: str) -> bool:
  """Whether a checkpoint holds the state of an optimizer."""
  with reading(path):
    return any(name.startswith('optimizer/')
               for name, _ in tf.train.list_variables(path))


def restore_run(checkpoint: tf.train.Checkpoint, path: str) -> bool:
  """Loads a checkpoint of a run, or of weights that a run starts from.

  Args:
    checkpoint: with model, optimizer, ema and step.
    path: of a checkpoint, without the suffixes of its files.

  Returns:
    Whether the file holds an optimizer's state; without it the optimizer
    stays as it is.

  Raises:
    InvalidValueError: if a file is damaged or does not fit.
  """
  is_whole = has_optimizer(path)
  restore(
      checkpoint if is_whole else tf.train.Checkpoint(
          model=checkpoint.model, ema=checkpoint.ema, step=checkpoint.step),
      path, partial=not is_whole)
  return is_whole
