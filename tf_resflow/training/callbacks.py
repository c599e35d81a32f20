"""Callbacks of a run: what it does after steps, besides training."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import logging
from typing import TypeAlias

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow.training import metrics
from tf_resflow.training import progress as progress_lib
from tf_resflow.training import signals
from tf_resflow.training import trainer as trainer_lib

EvaluateFn: TypeAlias = Callable[[models.Flow], dict[str, float]]

_logger = logging.getLogger(__name__)


@dataclasses.dataclass
class ActiveRun:
  """A run, as its callbacks see it.

  Attributes:
    trainer: the `Trainer`; `trainer.step` updates are done.
    writer: takes scalars and images for metrics.csv and TensorBoard.
    progress: the bar, and what was measured since the last row of metrics.
    stop: the signals that end the run.
  """

  trainer: trainer_lib.Trainer
  writer: metrics.MetricsWriter | metrics.NoMetricsWriter
  progress: progress_lib.Progress
  stop: signals.RunStop

  def __post_init__(self) -> None:
    self._saved = self._state

  @property
  def _state(self):
    trainer = self.trainer
    return trainer.step, trainer.is_finished and trainer.callbacks_done

  @contextlib.contextmanager
  def averaged(self) -> Iterator[models.Flow]:
    """Yields the flow with averaged weights; signals end the block.

    Then the run is saved, and the next start repeats the callback.
    """
    self.trainer.check_finite()
    with self.trainer.ema.swapped(), self.stop.interruptible():
      yield self.trainer.model

  def log(self) -> None:
    """Writes and shows the metrics of the steps since the last row.

    Raises:
      TrainingDivergedError: if they are not finite.
    """
    trainer, step = self.trainer, self.trainer.step
    if not self.progress.has_steps:
      return
    row, first_bad_step = self.progress.end_window(step)
    if first_bad_step is not None:
      raise trainer.diverged_error(
          'the loss or its gradient is not finite at step '
          f'{first_bad_step} (seen at step {step})', first_bad_step)
    if row.get('skipped'):
      _logger.warning(
          'Passed over %d batches before step %d, without a finite loss or '
          'gradient.', row['skipped'], step + 1)
    row['learning_rate'] = float(tf.convert_to_tensor(
        trainer.optimizer.learning_rate))
    self.writer.write(step, row)
    self.progress.show(step, row, trainer.is_finished)

  def save(self) -> None:
    """Saves metrics and a checkpoint, unless it is there."""
    self.log()
    if self._saved != self._state:
      self.writer.flush()
      self.trainer.save()
      self._saved = self._state


@dataclasses.dataclass(frozen=True, kw_only=True)
class Callback:
  """What a run does after some of its steps.

  Callbacks are called in their order, after the checkpoint of the step. A run
  that is killed may call them twice for the step that it continues from: what
  they write must be the same then.

  Args:
    name: its name, one of a kind among those of a run.
    every: it is due after so many steps each; 0 for never.
    after: called as `after(run)`, with an `ActiveRun`.
    at_start: whether it is also due before the first step.
    at_end: whether it is also due after the last step.

  Example:
    >>> def write_norm(run):
    ...   with run.averaged() as flow:
    ...     norms = [float(layer.norm()) for layer in flow.constrained_layers]
    ...   run.writer.write(run.trainer.step, {'largest_norm': max(norms)})
    >>> config = configuration.make_config(
    ...     dataset='2d/moons', num_blocks=1, hidden_units=(4,), num_steps=4)
    >>> _ = training.train(config, 'norms', callbacks=[
    ...     Callback(name='norms', every=2, after=write_norm)])
    4/4 - nats: ...
    >>> rows = training.read_metrics('norms')
    >>> rows['step'], rows['largest_norm'].shape
    (array([2., 4.]), (2,))
  """

  name: str
  every: int
  after: Callable[[ActiveRun], None]
  at_start: bool = False
  at_end: bool = False

  def is_due(self, step: int, is_last: bool) -> bool:
    """Returns whether it is due after a step."""
    if not step:
      return self.at_start
    return step % self.every == 0 or self.at_end and is_last


def validate(every: int, evaluate_fn: EvaluateFn, keeps_best: bool) -> Callback:
  """Validates with averaged weights, and keeps the best checkpoint.

  With `keeps_best` the initial flow is validated, too: no flow that is kept is
  worse. See `Callback` for `every`, and `loop.train` for `evaluate_fn`.
  """

  def after(run):
    trainer, best = run.trainer, run.trainer.best
    with run.averaged() as model:
      values = dict(evaluate_fn(model))
    headline = next(iter(values))
    if best:
      headline = 'validation_loss'
      values[headline] = trainer.validation_loss(values)
    run.writer.write(trainer.step, values)
    run.writer.flush()
    run.progress.note = f'validation: {float(values[headline]):.4f}'
    if best:
      best.offer(values[headline], trainer.step)
      run.progress.note += f' ({best.describe()})'

  return Callback(name='validation', every=every, after=after,
                  at_start=keeps_best, at_end=keeps_best)


def write_samples(
    every: int, picture_fn: Callable[[models.Flow], np.ndarray] | None = None
) -> Callback:
  """Writes a picture of samples, drawn with averaged weights.

  `picture_fn(model)` returns images for `MetricsWriter.write_images`; by
  default these are samples of an image flow.
  """

  def after(run):
    try:
      with run.averaged() as model:
        images = (picture_fn or run.trainer.sample_images)(model)
    except (tf.errors.InvalidArgumentError, errors.InvalidValueError) as error:
      # An inverse fails, as it would each time that the run is continued.
      _logger.warning('No samples at step %d: %s', run.trainer.step,
                      ' '.join(str(error).split()))
    else:
      run.writer.write_images(run.trainer.step, 'samples', images)

  return Callback(name='samples', every=every, after=after, at_end=True)
