"""The best checkpoint of a run, and early stopping."""

from collections.abc import Callable
import logging
import math
import os
from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.training import checkpoints
from tf_resflow.training import files

_logger = logging.getLogger(__name__)
# Name of the lowest loss in a checkpoint.
_VALUE = 'value/.ATTRIBUTES/VARIABLE_VALUE'


def best(workdir: str) -> str | None:
  """Returns the path of the best checkpoint of a run; None if there is none.

  If an interruption left two, it is the one with the lower loss.

  Raises:
    InvalidValueError: if one is damaged, since the other need not be the best,
      or was set aside.
  """
  folder = os.path.join(workdir, 'best')
  paths = checkpoints.complete(folder)
  bad = [*filter(checkpoints.corruption, paths)] or [
      name for name in files.names(folder) if not paths and '.damaged' in name]
  errors.check(
      not bad, 'file', folder, 'an undamaged best checkpoint',
      f'It has {os.path.basename(min(bad, default=""))}. Evaluate, sample and '
      'export with --checkpoint=latest.')
  return _lowest(folder)


def _value_of(path: str) -> float:
  with checkpoints.reading(path):
    reader = tf.train.load_checkpoint(path)
    owner = 'best/' if reader.has_tensor(f'best/{_VALUE}') else ''
    return float(reader.get_tensor(owner + _VALUE))  # Of a former version.


def _lowest(folder: str) -> str | None:
  """Returns the path of the one with the lowest loss; None if there is none."""
  return min(checkpoints.complete(folder), key=_value_of, default=None)


class BestCheckpoint(tf.Module):
  """Keeps the checkpoint with the lowest validation loss; stops early.

  `WORKDIR/best` holds it. The lowest loss and its step are part of the state of
  a run, and so is whether the run has stopped: a run that continues from an
  earlier checkpoint repeats the decisions that it made after it, and finds the
  best checkpoint there already. A damaged one is set aside: the run decides
  as with it, and there is no best one until a loss is lower.

  Args:
    workdir: folder of the run.
    patience: number of updates without a lower loss after which `offer` stops
      the run; 0 for never.
    writes: whether this process writes files, of several.
    check_fn: see `checkpoints.save`.
    **state: objects to save beside this one, by name.

  Attributes:
    value: variable, the lowest loss so far, infinite before the first.
    step: variable, its step.
    stopped_after: variable, the patience after which the run has stopped; 0 if
      it has not.
  """

  def __init__(self, workdir: str, patience: int = 0, writes: bool = True,
               check_fn: Callable[[], object] = bool, **state: Any):
    super().__init__(name='best')
    self._folder = os.path.join(workdir, 'best')
    self._writes, self._patience = writes, patience
    self.value = tf.Variable(math.inf, dtype=tf.float64, trainable=False)
    self.step, self.stopped_after = (
        tf.Variable(0, dtype=tf.int64, trainable=False) for _ in range(2))
    for path in checkpoints.complete(self._folder) if writes else ():
      if reason := checkpoints.corruption(path):
        _logger.warning(
            '%s, the best checkpoint, is damaged (%s) and set aside as %s; '
            'until a validation is better, other commands need '
            '--checkpoint=latest.', path, reason, checkpoints.quarantine(path))
    # Of a run whose checkpoints do not have it yet.
    if lowest := _lowest(self._folder):
      self.value.assign(_value_of(lowest))
      self.step.assign(int(lowest.rpartition('-')[2]))
    self._kept_value = float(self.value.numpy())
    # An attribute would be tracked, and duplicate the state in checkpoints.
    checkpoint = tf.train.Checkpoint(best=self, **state)
    self._save = lambda step: checkpoints.save(
        checkpoint, self._folder, step, 1, check_fn)

  @property
  def is_stopped(self) -> bool:
    """Whether the run has stopped; a higher patience continues it."""
    return 0 < self._patience <= int(self.stopped_after.numpy())

  def offer(self, value: float, step: int) -> bool:
    """Saves the state if its validation loss is the lowest; returns whether.

    NaN never is.

    Raises:
      OSError: if the checkpoint cannot be written.
    """
    if value < self.value.numpy():
      self.value.assign(value)
      self.step.assign(step)
      if value < self._kept_value:
        if self._writes:
          self._save(step)
        self._kept_value = value
        return True
    elif 0 < self._patience <= step - int(self.step.numpy()):
      self.stopped_after.assign(self._patience)
    return False

  def describe_end(self, step: int) -> str:
    """Returns how a run has ended after a step, and its best step."""
    text = f'Validation: {self.describe()}.'
    if self.is_stopped:
      return (f'Stopped at step {step}: validation did not improve for '
              f'{self._patience} steps. {text}')
    if 0 < step == int(self.step.numpy()):
      text += (' It was still improving at the last step: a new run with more '
               '--num_steps may be better.')
    elif step and not int(self.step.numpy()) and math.isfinite(
        self.value.numpy()):
      text += ' Training has gained nothing: what it began with is kept.'
    return text

  def describe(self) -> str:
    """Returns the lowest loss and its step in words."""
    text = f'best {self.value.numpy():.4f} at step {self.step.numpy()}'
    return f'{text}, which is lost' if (
        self.value.numpy() < self._kept_value) else text
