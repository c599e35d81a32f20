"""The training loop: steps, logs, validation, samples, checkpoints."""

from collections.abc import Callable
import contextlib
import logging
import signal
from typing import Self

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.training import metrics
from tf_resflow.training import progress as progress_lib
from tf_resflow.training import trainer as trainer_lib
from tf_resflow.training import workdir as workdir_lib

_logger = logging.getLogger(__name__)


class TrainingInterruptedError(errors.ExpectedError):
  """A signal ended the run; its state is saved."""

  exit_status = 3


class StopOnSignal(contextlib.ExitStack):
  """Inside, a signal is noted instead of ending the process.

  Attributes:
    received: the name of the latest signal; None before the first.
  """

  received = None

  def __enter__(self) -> Self:
    for number in (signal.SIGTERM, signal.SIGINT):
      # Outside of the main thread, where signals go elsewhere.
      with contextlib.suppress(ValueError):
        self.callback(
            signal.signal, number, signal.signal(number, self._receive))
    return self

  def _receive(self, number, unused_frame):
    self.received = signal.Signals(number).name

  def check(self, step: int) -> None:
    """Raises `TrainingInterruptedError` if a signal has come.

    Args:
      step: number of finished updates, whose state is saved.
    """
    if self.received:
      raise TrainingInterruptedError(
          f'{self.received} after step {step}: its state is saved; run the '
          'same command again to continue.')


def train(
    config: configuration.Config, workdir: str,
    evaluate_fn: Callable[[models.Flow], dict[str, float]] | None = None,
    save_images_fn: Callable[[str, np.ndarray], None] | None = None,
    picture_fn: Callable[[models.Flow], np.ndarray] | None = None,
    strategy: tf.distribute.Strategy | None = None) -> trainer_lib.Trainer:
  """Trains a flow, or continues the run in `workdir`.

  Args:
    config: of the run.
    workdir: folder of the run.
    evaluate_fn: called as `evaluate_fn(model)` with averaged weights every
      `evaluate_every` steps; returns a dict of scalars to log. `keep_best`
      goes by their `validation_NAME`, of the metrics of the objective.
    save_images_fn: called as `save_images_fn(path, images)` for sample grids.
    picture_fn: called as `picture_fn(model)` with averaged weights every
      `sample_every` steps; returns what `MetricsWriter.write_images` takes. By
      default flows on images are sampled from, and others make no picture.
    strategy: by default that of the configuration.

  Returns:
    The `Trainer` after the last step.

  Raises:
    InvalidValueError: on a configuration or a workdir that does not fit.
    TrainingDivergedError: when the loss or its gradient is not finite.
    TrainingInterruptedError: after SIGTERM or SIGINT, with the state saved.
    OSError: if a file cannot be written.
  """
  errors.check(
      evaluate_fn is not None or not config.run.keep_best, 'keep_best', 'true',
      'false without evaluate_fn', 'Nothing would say what is best.')
  workdir_lib.check(workdir, config)
  # Checks data and batch as well, before anything is written. There is nothing
  # to save yet, and a download takes long: a signal ends it at once.
  trainer = trainer_lib.Trainer(config, workdir, strategy)
  with StopOnSignal() as signals:
    workdir_lib.prepare(workdir, config)
    trainer.restore_or_initialize()
    if trainer.step >= config.optimizer.num_steps:
      longer = config.replace(num_steps=config.optimizer.num_steps + 1)
      _logger.warning(
          'The run has finished %d of %d steps: nothing is trained.%s',
          trainer.step, config.optimizer.num_steps,
          '' if longer.differences(config) else
          ' Raise --num_steps to continue it.')
      return trainer
    signals.check(trainer.step)
    with metrics.MetricsWriter(
        workdir, start_step=trainer.step,
        save_images_fn=save_images_fn) as writer:
      _run(trainer, writer, signals, evaluate_fn, picture_fn)
  return trainer


def _run(trainer: trainer_lib.Trainer, writer: metrics.MetricsWriter,
         signals: StopOnSignal, evaluate_fn: Callable | None,
         picture_fn: Callable | None):
  """Runs the remaining steps; see `train`."""
  config, optimizer = trainer.config.run, trainer.config.optimizer
  num_steps = optimizer.num_steps
  is_image = len(trainer.model.event_shape) == 3
  picture_fn = picture_fn or (trainer.sample_images if is_image else None)
  periodic_tasks = progress_lib.periodic_tasks(
      trainer.config, evaluate_fn is not None, picture_fn is not None)
  progress = progress_lib.Progress(
      trainer.step, num_steps,
      optimizer.batch_size * optimizer.accumulation_steps,
      trainer.biased_metrics, periodic_tasks)
  for step, values in trainer.steps():
    progress.add(values)
    due = {name for name, occasion in periodic_tasks.items()
           if occasion.is_due(step, num_steps)}
    if signals.received:
      due.add(progress_lib.CHECKPOINTS)
    if progress_lib.CHECKPOINTS in due or step % config.log_every == 0:
      row, first_bad_step = progress.end_window(step)
      if first_bad_step is not None:
        raise trainer.diverged_error(
            'the loss or its gradient is not finite at step '
            f'{first_bad_step} (seen at step {step})')
      row['learning_rate'] = float(trainer.optimizer.learning_rate)
      writer.write(step, row)
      progress.show(step, row)
    if due - {progress_lib.CHECKPOINTS}:
      trainer.check_finite()
    if progress_lib.VALIDATION in due:
      with progress.between(progress_lib.VALIDATION):
        _validate(trainer, writer, step, evaluate_fn)
    if progress_lib.SAMPLES in due:
      with progress.between(progress_lib.SAMPLES):
        _write_samples(trainer, writer, step, picture_fn)
    if progress_lib.CHECKPOINTS in due or signals.received:
      with progress.between(progress_lib.CHECKPOINTS):
        writer.flush()
        trainer.save()
      signals.check(step)


def _validate(trainer: trainer_lib.Trainer, writer: metrics.MetricsWriter,
              step: int, evaluate_fn: Callable) -> None:
  """Writes what a validation finds, and its checkpoint if it is the best."""
  with trainer.ema.swapped():
    values = dict(evaluate_fn(trainer.model))
  if trainer.best:
    values['validation_loss'] = trainer.validation_loss(values)
  writer.write(step, values)
  if trainer.best:
    writer.flush()
    trainer.best.offer(values['validation_loss'], step)


def _write_samples(trainer: trainer_lib.Trainer, writer: metrics.MetricsWriter,
                   step: int, picture_fn: Callable) -> None:
  """Writes a picture of samples; training goes on where an inverse fails."""
  try:
    with trainer.ema.swapped():
      images = picture_fn(trainer.model)
  except (tf.errors.InvalidArgumentError, errors.InvalidValueError) as error:
    # The run would end at this step again, however often it is continued.
    _logger.warning('No samples of step %d: %s', step,
                    ' '.join(str(error).split()))
  else:
    writer.write_images(step, 'samples', images)
