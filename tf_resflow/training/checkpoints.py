"""Checkpoints of a run: saving, which is the latest, corruption, restoring.

`WORKDIR/checkpoints` holds `ckpt-STEP.index` and its data files. A checkpoint
counts if all of them are there. The file `checkpoint` names the latest one to
other programs, such as `tf.train.latest_checkpoint`; it is not read here, since
a copy may lack it. Every tensor has a checksum, so that corruption is found
before a variable is assigned.
"""

import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import functools
import logging
import os
import re
import shutil
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import private_apis
from tf_resflow.training import files
from tf_resflow.training import metrics

_logger = logging.getLogger(__name__)

_LATEST = 'checkpoint'
_CONFIG = 'config'
_DATA = re.compile(r'ckpt-(\d+)\.data-\d+-of-(\d+)')

# TensorFlow raises IndexError for an unexpected end of a file, and
# AssertionError for missing objects.
_UNREADABLE = (
    AssertionError, IndexError, KeyError, ValueError, tf.errors.OpError)
# Messages of corrupt files, by which alone they differ from missing ones.
_CORRUPT = re.compile(
    'checksum|sstable|corrupt|truncated|Read less bytes', re.IGNORECASE)


def complete(folder: str) -> list[str]:
  """Returns the paths of complete checkpoints in a folder, sorted by step.

  Paths are without the suffixes of their files.
  """
  names = files.names(folder)
  found = collections.Counter(
      match.groups() for match in map(_DATA.fullmatch, names) if match)
  return [os.path.join(folder, f'ckpt-{step}') for step in sorted(
      int(step) for (step, num_files), count in found.items()
      if count == int(num_files) and f'ckpt-{step}.index' in names)]


def latest(workdir: str) -> str | None:
  """Returns the path of the newest complete checkpoint of a run.

  Without file suffixes; None before the first checkpoint.

  Raises:
    InvalidValueError: if checkpoints were written but none is left.
  """
  folder = os.path.join(workdir, 'checkpoints')
  if paths := complete(folder):
    return paths[-1]
  is_lost = os.path.exists(os.path.join(workdir, metrics.CSV)) or any(
      name == _LATEST or name.endswith('.index')
      for name in files.names(folder))
  errors.check(
      not is_lost, 'workdir', workdir, 'a run with a complete checkpoint',
      f'None is left in {folder}. Restore one, or use another workdir to start '
      'again.')
  return None


def _files_of(path: str) -> list[str]:
  """Returns the paths of the files of a checkpoint, its index last."""
  folder, name = os.path.split(path)
  return sorted(
      os.path.join(folder, file) for file in files.names(folder)
      if file.startswith((f'{name}.data-', f'{name}.index')))


def _rename(path: str, new: str) -> None:
  for file in _files_of(path):
    os.replace(file, new + file.removeprefix(path))


def check_tracked(checkpoint: tf.train.Checkpoint) -> None:
  """Raises `InvalidValueError` if it would lack a variable of its model."""
  tracked = set(map(id, tf.train.TrackableView(checkpoint).descendants()))
  lost = [v.path for v in checkpoint.model.variables if id(v) not in tracked]
  errors.check(
      not lost, 'variable', lost[0] if lost else '',
      problem=f'and {len(lost) - 1} others would be in no checkpoint',
      advice='Keep the layer that has it in an attribute of the one that uses '
      'it or, with others, in its `parts`: tf.train.Checkpoint does not track '
      'lists of layers.')


def save(checkpoint: tf.train.Checkpoint, folder: str, step: int,
         num_to_keep: int, check_fn: Callable[[], object] = bool) -> None:
  """Writes a checkpoint, and deletes all but the newest `num_to_keep`.

  An earlier one of this step is replaced. `check_fn` is called when all is
  written but the names; it raises an error if another process has taken over
  the run.

  Raises:
    OSError: if it cannot be written. The others are left then.
  """
  path = os.path.join(folder, f'ckpt-{step}')
  draft = os.path.join(f'{path}_temp', os.path.basename(path))
  try:
    os.makedirs(os.path.dirname(draft), exist_ok=True)
    with files.writing(f'the checkpoint of step {step}'):
      checkpoint.write(draft)
    check_fn()
    _rename(draft, path)
  finally:
    shutil.rmtree(os.path.dirname(draft), ignore_errors=True)
  others = [other for other in complete(folder) if other != path]
  for other in others[:max(0, len(others) + 1 - num_to_keep)]:
    for file in reversed(_files_of(other)):
      os.unlink(file)
  files.write_text(os.path.join(folder, _LATEST),
                   f'model_checkpoint_path: "{os.path.basename(path)}"\n')


def _names(model: keras.Model) -> dict[int, tuple[str, ...]]:
  """Returns the paths of names to trackable objects of a model, by id."""
  view, names = tf.train.TrackableView(model), {}
  waiting: list[tuple[tuple[str, ...], Any]] = [((), model)]
  while waiting:
    path, owner = waiting.pop()
    if id(owner) not in names:
      names[id(owner)] = path
      waiting += [((*path, name), child)
                  for name, child in view.children(owner).items()]
  return names


def _positions(
    model: keras.Model, children: Sequence[Mapping[str, int]]
) -> list[int] | None:
  """Returns the position of each weight in the lists of a checkpoint.

  Averages and moments are lists in the order of `trainable_variables` when they
  were written; the weights themselves are stored by name. None if the file,
  whose objects have these `children`, has no optimizer; raises `KeyError` if it
  has other weights.
  """

  def follow(*names):
    return functools.reduce(lambda node, name: children[node][name], names, 0)

  if 'optimizer' not in children[0]:
    return None
  positions = {node: int(position) for position, node in children[
      follow('optimizer', '_trainable_variables')].items()}
  names = _names(model)
  found = [positions.pop(follow('model', *names[id(v)]))
           for v in model.trainable_variables]
  if positions:
    raise KeyError(f'{len(positions)} more weights than the model')
  return found


def config_of(model: models.Flow) -> dict[str, tf.Variable]:
  """Returns what a checkpoint has besides to tell whose weights it has."""
  return {_CONFIG: tf.Variable(model.config.to_json(), trainable=False)}


def _check_model(model: models.Flow, path: str) -> None:
  """Checks that a model computes the function that weights were saved for.

  Models of the same shapes may differ, such as in the scales of columns.
  """
  saved = models.model_from_json(tf.train.load_checkpoint(path).get_tensor(
      f'{_CONFIG}/.ATTRIBUTES/VARIABLE_VALUE').decode(), path)
  differences = model.config.function_differences(saved)
  listed = ', '.join(
      f'{name} ({text})' if len(text := f'{ours}, not {theirs}') < 60 else name
      for name, (ours, theirs) in differences.items())
  errors.check(
      not differences, 'file', path, 'weights of the model that model.json '
      'describes', f'That has another {listed}. One of the two is of another '
      'run.')


def _as_saved(
    checkpoint: tf.train.Checkpoint, saved_names: Mapping[str, int],
    positions: Sequence[int]) -> tf.train.Checkpoint:
  """Returns a checkpoint with the objects and the orders of lists of a file."""

  def as_saved(variables):
    """Sorts variables, of which each weight has the same number."""
    by_weight = np.reshape(np.arange(len(variables)), [len(positions), -1])
    return [variables[i] for i in by_weight[np.argsort(positions)].flat]

  # Files of former versions lack some.
  parts = {name: part for name, part in tf.train.TrackableView(
      checkpoint).children(checkpoint).items()
           if name in {'step', *saved_names} - {_CONFIG}}
  parts['ema'] = tf.train.Checkpoint(averages=as_saved(checkpoint.ema.averages))
  if 'optimizer' in parts:
    optimizer = parts['optimizer']
    # The step, the learning rate if it is a variable, then the moments.
    num_others = 1 + isinstance(optimizer.get_config()['learning_rate'], float)
    variables = [v.value for v in optimizer.variables]
    parts['optimizer'] = tf.train.Checkpoint(_variables=[
        *variables[:num_others], *as_saved(variables[num_others:])])
  return tf.train.Checkpoint(**parts)


def restore(checkpoint: tf.train.Checkpoint, path: str) -> bool:
  """Loads a checkpoint of a run, or initial weights.

  Averages and moments are assigned to the weights that they were saved for,
  even if the order of the weights has changed.

  Args:
    checkpoint: has model, ema and step, and the optimizer if its state is to be
      loaded.
    path: without file suffixes.

  Returns:
    Whether the file has optimizer state. Otherwise the optimizer is unchanged,
    and the averages are set to the weights.

  Raises:
    InvalidValueError: if a file is damaged or does not fit.
  """
  with reading(path):
    children = private_apis.saved_children(path)
    if _CONFIG in children[0]:
      _check_model(checkpoint.model, path)
    positions = _positions(checkpoint.model, children)
    saved = tf.train.Checkpoint(
        model=checkpoint.model, step=checkpoint.step
    ) if positions is None else _as_saved(checkpoint, children[0], positions)
    saved.read(path).assert_existing_objects_matched().expect_partial()
    if positions is None:
      checkpoint.ema.reset()
  return positions is not None


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
  """Converts errors of checkpoint files to `InvalidValueError`."""
  try:
    yield
  except errors.InvalidValueError:
    raise
  except _UNREADABLE as error:
    raise errors.InvalidValueError(
        'file', path, 'undamaged files' if _CORRUPT.search(str(error)) else
        'readable files that fit the configuration',
        f'{files.first_line(error)}.') from error


def corruption(path: str) -> str:
  """Returns what is wrong with the files of a checkpoint, or nothing.

  Reads all of its tensors, and with them their checksums.
  """
  try:
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_shape_map():
      reader.get_tensor(name)
  except _UNREADABLE as error:
    if _CORRUPT.search(str(error).replace(path, '')):
      return files.first_line(error)
    with reading(path):
      raise
  return ''


def quarantine(path: str) -> str:
  """Renames the files of a corrupt checkpoint; returns their new path."""
  new = files.quarantine_name(path)
  _rename(path, new)
  return new


def latest_readable(workdir: str, quarantines: bool = False) -> str | None:
  """Returns the path of the newest checkpoint without corruption.

  None before the first one. A warning tells of newer ones that are corrupt;
  with `quarantines`, for the process that trains, their files are renamed.

  Raises:
    InvalidValueError: if checkpoints were written but none is left, or all are
      corrupt. Nothing is renamed then.
  """
  newest, path, reasons = latest(workdir), None, {}
  for path in reversed(complete(os.path.join(workdir, 'checkpoints'))):
    if not (reason := corruption(path)):
      break
    reasons[path] = reason
  errors.check(
      path not in reasons, 'file', newest, 'undamaged files',
      f'{reasons.get(str(newest))}. No complete checkpoint before it is left: '
      'restore one, or use another workdir to start again.')
  for bad, reason in reasons.items():
    how = (f'set aside as {quarantine(bad)}' if quarantines else 'passed over')
    _logger.warning('%s is damaged (%s) and %s; continuing from %s.', bad,
                    reason, how, os.path.basename(str(path)))
  return path


def has_optimizer(path: str) -> bool:
  """Returns whether a checkpoint has the state of an optimizer."""
  with reading(path):
    return 'optimizer' in private_apis.saved_children(path)[0]
