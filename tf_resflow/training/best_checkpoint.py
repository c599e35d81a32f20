"""The checkpoint of a run that validated best.

It stands in `WORKDIR/best`, with what it validated to, so that which one it is
follows from the folder alone. A run that was killed behind it and goes on from
before it finds it there, with a value that the steps in between do not reach,
and reaches it once more by the same steps.
"""

import math
import os
from typing import Any

import tensorflow as tf

from tf_resflow.training import checkpoints
from tf_resflow.training import files

_VALUE = 'value/.ATTRIBUTES/VARIABLE_VALUE'


def find(workdir: str) -> str | None:
  """Returns the path of the best checkpoint of a run; None if there is none.

  A kill may leave two, of which it is the one with the lower value.

  Args:
    workdir: folder of the run.

  Raises:
    InvalidValueError: if the files of one are damaged.
  """
  paths = _from_worst_to_best(workdir)
  return paths[-1] if paths else None


def _folder(workdir: str) -> str:
  return os.path.join(workdir, 'best')


def _value_of(path: str) -> float:
  with checkpoints.reading(path):
    return float(tf.train.load_checkpoint(path).get_tensor(_VALUE))


def _from_worst_to_best(workdir: str) -> list[str]:
  return sorted(
      checkpoints.complete(_folder(workdir)), key=_value_of, reverse=True)


class BestCheckpoint:
  """Keeps the state of the update whose validation was the lowest.

  Args:
    workdir: folder of the run.
    **state: what is saved, by names; `value` is added to it.

  Attributes:
    value: the lowest validation so far, infinite before the first.

  Raises:
    InvalidValueError: if the one that is there is damaged.
  """

  def __init__(self, workdir: str, **state: Any):
    folder, paths = _folder(workdir), _from_worst_to_best(workdir)
    self.value = _value_of(paths[-1]) if paths else math.inf
    self._saved_value = tf.Variable(0.0, dtype=tf.float64, trainable=False)
    if paths:
      checkpoints.write_list(folder, map(os.path.basename, paths))
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
