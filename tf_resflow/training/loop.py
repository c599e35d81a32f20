"""The training loop: steps, logs, validation, samples, checkpoints."""

from collections.abc import Callable, Collection, Mapping
import logging
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.training import metrics
from tf_resflow.training import signals as signals_lib
from tf_resflow.training import trainer as trainer_lib
from tf_resflow.training import workdir as workdir_lib

_logger = logging.getLogger(__name__)


class Progress:
  """Gathers the metrics of steps into rows, and shows them.

  Args:
    start_step: number of steps that are finished.
    num_steps: number of steps of the whole run.
    examples_per_step: number of examples of a step.
    biased: names of metrics that a biased estimator makes; in rows, and on the
      bar, they are called `biased_NAME`.
  """

  def __init__(self, start_step: int, num_steps: int, examples_per_step: int,
               biased: Collection[str] = ()):
    self._start_step = start_step
    self._biased = biased
    self._examples_per_step = examples_per_step
    self._window: list[Mapping[str, tf.Tensor]] = []
    self._window_start = time.perf_counter()
    # Few lines where the output is not a terminal.
    self._bar = keras.utils.Progbar(
        num_steps - start_step, width=20, unit_name='step',
        interval=0.5 if sys.stdout.isatty() else 30.0)

  def add(self, metrics: Mapping[str, tf.Tensor]) -> None:
    """Takes the metrics of the next step, scalars."""
    self._window.append(metrics)

  def end_window(self, step: int) -> tuple[dict[str, float], int | None]:
    """Returns the row of the steps since the last one.

    Args:
      step: the latest step.

    Returns:
      The means of metrics, of counts the largest, and `examples_per_second`;
      and the first step with a metric that is not finite, None if all are.
    """
    columns = {
        f'biased_{name}' if name in self._biased else name:
            np.array([m[name] for m in self._window])
        for name in self._window[0]}
    row = {
        name: int(column.max()) if column.dtype.kind == 'i'
        else float(np.mean(column, dtype=np.float64))
        for name, column in columns.items()}
    row['examples_per_second'] = (
        len(self._window) * self._examples_per_step /
        (time.perf_counter() - self._window_start))
    finite = np.isfinite(list(columns.values())).all(axis=0)
    first_bad_step = None if finite.all() else (
        step - len(finite) + 1 + int(np.argmin(finite)))
    self._window = []
    return row, first_bad_step

  def show(self, step: int, row: Mapping[str, float]) -> None:
    """Moves the bar; it shows the first metric of the row, and the speed."""
    headline = next(iter(row))
    shown = {headline: row[headline], 'examples/s': row['examples_per_second']}
    self._bar.stateful_metrics = set(shown)
    self._bar.update(step - self._start_step, list(shown.items()))

  def continue_clock(self) -> None:
    """Leaves out what was done since the window ended, such as saving."""
    if not self._window:
      self._window_start = time.perf_counter()


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
  with signals_lib.StopOnSignal() as signals:
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


def _is_due(step: int, every: int) -> bool:
  return every > 0 and step % every == 0


def _run(trainer: trainer_lib.Trainer, writer: metrics.MetricsWriter,
         signals: signals_lib.StopOnSignal, evaluate_fn: Callable | None,
         picture_fn: Callable | None):
  """Runs the remaining steps; see `train`."""
  config, optimizer = trainer.config.run, trainer.config.optimizer
  progress = Progress(
      trainer.step, optimizer.num_steps,
      optimizer.batch_size * optimizer.accumulation_steps,
      trainer.biased_metrics)
  is_image = len(trainer.model.event_shape) == 3
  picture_fn = picture_fn or (trainer.sample_images if is_image else None)
  for step, values in trainer.steps():
    progress.add(values)
    is_last = step == optimizer.num_steps
    is_save = is_last or _is_due(step, config.checkpoint_every)
    if is_save or _is_due(step, config.log_every) or signals.received:
      row, first_bad_step = progress.end_window(step)
      if first_bad_step is not None:
        raise trainer.diverged_error(
            'the loss or its gradient is not finite at step '
            f'{first_bad_step} (seen at step {step})')
      row['learning_rate'] = float(trainer.optimizer.learning_rate)
      writer.write(step, row)
      progress.show(step, row)
    is_evaluation = _is_due(step, config.evaluate_every) and (
        evaluate_fn is not None)
    is_sample = picture_fn is not None and config.sample_every > 0 and (
        is_last or _is_due(step, config.sample_every))
    if is_evaluation or is_sample:
      trainer.check_finite()
    if is_evaluation:
      with trainer.ema.swapped():
        values = dict(evaluate_fn(trainer.model))
      if config.keep_best:
        values['validation_loss'] = trainer.validation_loss(values)
      writer.write(step, values)
      if config.keep_best:
        writer.flush()
        trainer.save_if_best(values['validation_loss'])
    if is_sample:
      _write_samples(trainer, writer, step, picture_fn)
    if is_save or signals.received:
      writer.flush()
      trainer.save()
      signals.check(step)
    progress.continue_clock()


def _write_samples(
    trainer: trainer_lib.Trainer, writer: metrics.MetricsWriter, step: int,
    picture_fn: Callable) -> None:
  """Writes a picture of samples; training goes on where an inverse fails."""
  try:
    with trainer.ema.swapped():
      images = picture_fn(trainer.model)
  except (tf.errors.InvalidArgumentError, errors.InvalidValueError) as error:
    # The run would end at this step again, however often it is continued.
    _logger.warning(
        'No samples of step %d: %s', step,
        ' '.join(str(error).split()))
  else:
    writer.write_images(step, 'samples', images)
