"""The checkpoints of a run: the latest and the best, writing, reading.

They stand in `WORKDIR/checkpoints`: `ckpt-STEP.index`, written last, and its
data files. TensorFlow's file `checkpoint` there lists them, but what counts is
the newest one whose files are complete: a copy may lack the list.
"""

import collections
from collections.abc import Iterable, Iterator, Sequence
import contextlib
import logging
import math
import os
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import private_apis
from tf_resflow.training import files
from tf_resflow.training import metrics

_logger = logging.getLogger(__name__)

_LIST = 'checkpoint'
_VALUE = 'value/.ATTRIBUTES/VARIABLE_VALUE'
_DATA = re.compile(r'ckpt-(\d+)\.data-\d+-of-(\d+)')

# TensorFlow turns an unexpected end of a file into an IndexError, and an object
# that is missing there into an AssertionError.
_UNREADABLE = (
    AssertionError, IndexError, KeyError, ValueError, tf.errors.OpError)
# Its errors of damaged files differ in nothing else from those of good ones
# that it may not read or does not find.
_DAMAGED = re.compile(
    'checksum|sstable|corrupt|truncated|Read less bytes', re.IGNORECASE)


def complete(folder: str) -> list[str]:
  """Returns the paths of the checkpoints in a folder, in the order of steps.

  Without the suffixes of their files, all of which are there.
  """
  names = files.names(folder)
  found = collections.Counter(
      match.groups() for match in map(_DATA.fullmatch, names) if match)
  steps = sorted(
      int(step) for (step, num_files), count in found.items()
      if count == int(num_files) and f'ckpt-{step}.index' in names)
  return [os.path.join(folder, f'ckpt-{step}') for step in steps]


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


def make_manager(checkpoint: tf.train.Checkpoint, workdir: str,
                 num_to_keep: int) -> tf.train.CheckpointManager:
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
  return tf.train.CheckpointManager(checkpoint, folder, max_to_keep=num_to_keep)


def _names(model: keras.Model) -> dict[int, tuple[str, ...]]:
  """Returns by what names a checkpoint of a model leads to its variables."""
  view, names = tf.train.TrackableView(model), {}
  waiting = [((), model)]
  while waiting:
    path, owner = waiting.pop()
    if id(owner) not in names:
      names[id(owner)] = path
      waiting += [((*path, name), child)
                  for name, child in view.children(owner).items()]
  return names


def _positions(model: keras.Model, path: str) -> list[int] | None:
  """Returns where the lists of a checkpoint have what belongs to each weight.

  Averages and moments are lists, in the order that `trainable_variables` had in
  the program that wrote them. The file knows the weights themselves by names.
  None where the file has no optimizer; a `KeyError` if it has other weights.
  """
  children = private_apis.saved_children(path)

  def follow(names, node=0):
    for name in names:
      node = children[node][name]
    return node

  if 'optimizer' not in children[0]:
    return None
  positions = {node: int(position) for position, node in children[
      follow(['optimizer', '_trainable_variables'])].items()}
  names = _names(model)
  found = [positions.pop(follow(['model', *names[id(v)]]))
           for v in model.trainable_variables]
  if positions:
    raise KeyError(f'{len(positions)} weights more than the model')
  return found


def _as_saved(checkpoint: tf.train.Checkpoint,
              positions: Sequence[int]) -> tf.train.Checkpoint:
  """Returns a checkpoint of the same variables, with the lists of a file."""

  def as_saved(variables):
    """Sorts the variables that belong to the weights, some to each."""
    number = len(variables) // len(positions)
    return [variables[i * number + j] for i in np.argsort(positions)
            for j in range(number)]

  parts = dict(tf.train.TrackableView(checkpoint).children(checkpoint))
  parts['ema'] = tf.train.Checkpoint(averages=as_saved(checkpoint.ema.averages))
  if 'optimizer' in parts:
    optimizer = parts['optimizer']
    # The number of steps, a rate that is a variable, then the moments.
    num_others = 1 + isinstance(optimizer.get_config()['learning_rate'], float)
    variables = [v.value for v in optimizer.variables]
    parts['optimizer'] = tf.train.Checkpoint(_variables=[
        *variables[:num_others], *as_saved(variables[num_others:])])
  return tf.train.Checkpoint(**parts)


def restore(checkpoint: tf.train.Checkpoint, path: str) -> bool:
  """Loads a checkpoint of a run, or of weights that a run starts from.

  Averages and moments go to the weights that they were saved for, whatever the
  order in which the model has them now.

  Args:
    checkpoint: with model, ema and step; with the optimizer, where its state is
      to be loaded.
    path: of a checkpoint, without the suffixes of its files.

  Returns:
    Whether the file holds an optimizer's state. Without it the optimizer
    stays as it is, and the averages are the weights.

  Raises:
    InvalidValueError: if a file is damaged or does not fit.
  """
  with reading(path):
    positions = _positions(checkpoint.model, path)
    saved = tf.train.Checkpoint(
        model=checkpoint.model, step=checkpoint.step
    ) if positions is None else _as_saved(checkpoint, positions)
    saved.restore(path).assert_existing_objects_matched().expect_partial()
    if positions is None:
      checkpoint.ema.reset()
  return positions is not None


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
  """Inside, the errors of a checkpoint's files say what to do."""
  try:
    yield
  except _UNREADABLE as error:
    expected, advice = (
        ('undamaged files', ' Delete its files to go on without it.')
        if _DAMAGED.search(str(error)) else
        ('readable files that fit the configuration', ''))
    raise errors.InvalidValueError(
        'file', path, expected,
        f'{files.first_line(error)}.{advice}') from error


def has_optimizer(path: str) -> bool:
  """Whether a checkpoint holds the state of an optimizer."""
  with reading(path):
    return 'optimizer' in private_apis.saved_children(path)[0]


def best(workdir: str) -> str | None:
  """Returns the path of the best checkpoint of a run; None if there is none.

  A kill may leave two, of which it is the one with the lower value.

  Args:
    workdir: folder of the run.

  Raises:
    InvalidValueError: if the files of one are damaged.
  """
  return (_from_worst_to_best(workdir) or [None])[-1]


def _value_of(path: str) -> float:
  with reading(path):
    return float(tf.train.load_checkpoint(path).get_tensor(_VALUE))


def _from_worst_to_best(workdir: str) -> list[str]:
  return sorted(
      complete(os.path.join(workdir, 'best')), key=_value_of, reverse=True)


class BestCheckpoint:
  """Keeps the state of the update whose validation was the lowest.

  It stands in `WORKDIR/best`, with what it validated to, so that which one it
  is follows from the folder alone. A run that was killed behind it and goes on
  from before it finds it there, with a value that the steps in between do not
  reach, and reaches it once more by the same steps.

  Args:
    workdir: folder of the run.
    **state: what is saved, by names; `value` is added to it.

  Attributes:
    value: the lowest validation so far, infinite before the first.

  Raises:
    InvalidValueError: if the one that is there is damaged.
  """

  def __init__(self, workdir: str, **state: Any):
    folder = os.path.join(workdir, 'best')
    paths = _from_worst_to_best(workdir)
    self.value = _value_of(paths[-1]) if paths else math.inf
    self._saved_value = tf.Variable(0.0, dtype=tf.float64, trainable=False)
    if paths:
      write_list(folder, map(os.path.basename, paths))
    self._manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(value=self._saved_value, **state), folder,
        max_to_keep=1)

  def offer(self, value: float, step: int) -> bool:
    """Saves the present state if its validation is the lowest so far.

    Args:
      value: of the validation; NaN is never the lowest.
      step: number of finished updates.

    Returns:
      Whether it is.

    Raises:
      OSError: if the checkpoint cannot be written.
    """
    if not value < self.value:
      return False
    self._saved_value.assign(value)
    with files.writing(f'the best checkpoint, of step {step},'):
      self._manager.save(checkpoint_number=step)
    self.value = value
    return True
