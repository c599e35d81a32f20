"""Checkpoints of a run: which is the latest, damage, restoring.

`WORKDIR/checkpoints` holds `ckpt-STEP.index`, written last, and its data files.
TensorFlow's file `checkpoint` there lists them, but the latest checkpoint is
the newest one with complete files: a copy may lack the list. Every tensor has a
checksum, so that damage is found before a variable is assigned.
"""

import collections
from collections.abc import Iterator, Mapping, Sequence
import contextlib
import logging
import os
import re
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import private_tf_apis
from tf_resflow.training import files
from tf_resflow.training import metrics

_logger = logging.getLogger(__name__)

_LIST = 'checkpoint'
_CONFIG = 'config'
_DATA = re.compile(r'ckpt-(\d+)\.data-\d+-of-(\d+)')

# TensorFlow raises IndexError for an unexpected end of a file, and
# AssertionError for missing objects.
_UNREADABLE = (
    AssertionError, IndexError, KeyError, ValueError, tf.errors.OpError)
# A line of TensorFlow's list, such as it writes them itself.
_LIST_LINE = re.compile(
    r'model_checkpoint_path: "ckpt-\d+"|'
    r'all_model_checkpoint_paths: "(ckpt-\d+)"|'
    r'(all_model_checkpoint|last_preserved)_timestamps?: [\d.e+-]+', re.ASCII)
# Only messages distinguish damaged files from missing or unreadable ones.
_DAMAGED = re.compile(
    'checksum|sstable|corrupt|truncated|Read less bytes', re.IGNORECASE)


def complete(folder: str) -> list[str]:
  """Returns the paths of complete checkpoints in a folder, sorted by step.

  Paths are without the suffixes of their files.
  """
  names = files.names(folder)
  found = collections.Counter(
      match.groups() for match in map(_DATA.fullmatch, names) if match)
  steps = sorted(
      int(step) for (step, num_files), count in found.items()
      if count == int(num_files) and f'ckpt-{step}.index' in names)
  return [os.path.join(folder, f'ckpt-{step}') for step in steps]


def _listed(folder: str) -> list[str]:
  """Returns the names in TensorFlow's list; none if a line is damaged.

  TensorFlow deletes what it lists, and takes a damaged name for a pattern.
  """
  path = os.path.join(folder, _LIST)
  if not os.path.isfile(path):  # Nor a pipe.
    return []
  try:
    with open(path, encoding='utf-8') as file:
      text = file.read()
  except (OSError, UnicodeError):
    return []
  found = list(map(_LIST_LINE.fullmatch, text.splitlines()))
  names = [match[1] for match in found if match and match[1]]
  is_sound = text.endswith('\n') and all(found) and len(names) == text.count(
      'all_model_checkpoint_timestamps')
  return names if is_sound else []


def latest(workdir: str) -> str | None:
  """Returns the path of the newest complete checkpoint of a run.

  Without file suffixes; None before the first checkpoint.

  Raises:
    InvalidValueError: if checkpoints were written but none is left.
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
      '. Restore one, or use another workdir to start again.')
  return None


def write_list(folder: str, listed: Sequence[str] | None = None) -> None:
  """Writes TensorFlow's list of checkpoints, the latest last.

  It has all that are complete, or the newest and those of another list.
  """
  names = list(map(os.path.basename, complete(folder)))
  if listed is not None:
    names = [n for n in names if n in [*listed, names[-1]]]
  if not names:
    with contextlib.suppress(FileNotFoundError):
      os.remove(os.path.join(folder, _LIST))
    return
  # TensorFlow ignores names with a time of 0, the default.
  files.write_text(os.path.join(folder, _LIST), '\n'.join([
      f'model_checkpoint_path: "{names[-1]}"',
      *(f'all_model_checkpoint_paths: "{name}"\n'
        'all_model_checkpoint_timestamps: 1.0' for name in names), '']))


def _check_tracked(checkpoint: tf.train.Checkpoint) -> None:
  """Checks that a checkpoint would have all variables that a run changes."""
  tracked = set(map(id, tf.train.TrackableView(checkpoint).descendants()))
  owners = ('model', 'variables'), ('optimizer', 'variables'), (
      'ema', 'averages')
  lost = [getattr(v, 'path', v.name) for owner, attribute in owners
          for v in getattr(getattr(checkpoint, owner, None), attribute, ())
          if id(v) not in tracked]
  errors.check_suits(
      not lost, 'variable', lost[0] if lost else '',
      f'and {len(lost) - 1} others would be in no checkpoint', 'Keep the layer '
      'that has it in an attribute of the one that uses it or, with others, in '
      'its `parts`: tf.train.Checkpoint does not track lists of layers.')


def make_manager(checkpoint: tf.train.Checkpoint, workdir: str,
                 num_to_keep: int) -> tf.train.CheckpointManager:
  """Returns the checkpoint manager of a run.

  If TensorFlow's list is missing, damaged or outdated, it is repaired and a
  warning logged. Checkpoints missing from the list are never deleted, except
  the newest in its turn.

  Raises:
    InvalidValueError: if a variable of the model, the averages or the optimizer
      would not be saved.
  """
  _check_tracked(checkpoint)
  folder = os.path.join(workdir, 'checkpoints')
  newest, listed = os.path.basename(latest(workdir) or ''), _listed(folder)
  if newest and (listed[-1:] != [newest] or not {*listed} <= {
      *map(os.path.basename, complete(folder))}):
    _logger.warning(
        '%s lists %s; it is mended, continuing from %s, the newest complete '
        'checkpoint.', os.path.join(folder, _LIST),
        ', '.join(listed) or 'nothing that can be read', newest)
    write_list(folder, listed)
  return tf.train.CheckpointManager(checkpoint, folder, max_to_keep=num_to_keep)


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


def _positions(model: keras.Model, path: str) -> list[int] | None:
  """Returns the position of each weight in the lists of a checkpoint.

  Averages and moments are lists in the order of `trainable_variables` when they
  were written; the weights themselves are stored by name. None if the file has
  no optimizer; raises `KeyError` if it has other weights.
  """
  children = private_tf_apis.saved_children(path)

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
    number = len(variables) // len(positions)
    return [variables[i * number + j] for i in np.argsort(positions)
            for j in range(number)]

  parts = dict(tf.train.TrackableView(checkpoint).children(checkpoint))
  # Files of former versions lack the last two.
  for name in (_CONFIG, 'save_counter',
               *{'best', 'skipped'} - saved_names.keys()):
    parts.pop(name, None)
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
    saved_names = private_tf_apis.saved_children(path)[0]
    if _CONFIG in saved_names:
      _check_model(checkpoint.model, path)
    positions = _positions(checkpoint.model, path)
    saved = tf.train.Checkpoint(
        model=checkpoint.model, step=checkpoint.step
    ) if positions is None else _as_saved(checkpoint, saved_names, positions)
    saved.restore(path).assert_existing_objects_matched().expect_partial()
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
        'file', path, 'undamaged files' if _DAMAGED.search(str(error)) else
        'readable files that fit the configuration',
        f'{files.first_line(error)}.') from error


def damage(path: str) -> str:
  """Returns what is wrong with the files of a checkpoint, or nothing.

  Reads all of its tensors, and with them their checksums.
  """
  try:
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_shape_map():
      reader.get_tensor(name)
  except _UNREADABLE as error:
    if _DAMAGED.search(str(error).replace(path, '')):
      return files.first_line(error)
    with reading(path):
      raise
  return ''


def set_aside(path: str) -> str:
  """Renames the files of a checkpoint; returns their new path."""
  folder, name = os.path.split(path)
  aside = files.aside(path)
  for file in files.names(folder):
    if file.startswith((f'{name}.index', f'{name}.data-')):
      os.rename(os.path.join(folder, file), aside + file.removeprefix(name))
  return aside


def undamaged(workdir: str, sets_aside: bool = False) -> str | None:
  """Returns the path of the newest checkpoint that can be read whole.

  None before the first one. A warning tells of newer ones that are damaged;
  with `sets_aside`, for the process that trains, their files are renamed.

  Raises:
    InvalidValueError: if checkpoints were written but none is left, or all are
      damaged. Nothing is renamed then.
  """
  newest, path, reasons = latest(workdir), None, {}
  folder = os.path.join(workdir, 'checkpoints')
  for path in reversed(complete(folder)):
    if not (reason := damage(path)):
      break
    reasons[path] = reason
  errors.check(
      path not in reasons, 'file', newest, 'undamaged files',
      f'{reasons.get(str(newest))}. No complete checkpoint before it is left: '
      'restore one, or use another workdir to start again.')
  listed = _listed(folder)
  for bad, reason in reasons.items():
    how = f'set aside as {set_aside(bad)}' if sets_aside else 'passed over'
    _logger.warning('%s is damaged (%s) and %s; continuing from %s.', bad,
                    reason, how, os.path.basename(str(path)))
  if reasons and sets_aside and listed:
    write_list(folder, listed)
  return path


def has_optimizer(path: str) -> bool:
  """Returns whether a checkpoint has the state of an optimizer."""
  with reading(path):
    return 'optimizer' in private_tf_apis.saved_children(path)[0]
