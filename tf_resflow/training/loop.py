"""Training loop: steps, logs, validation, samples, checkpoints."""

from collections.abc import Callable
import contextlib
import logging
import pathlib
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.training import files
from tf_resflow.training import lease as lease_lib
from tf_resflow.training import metrics
from tf_resflow.training import progress as progress_lib
from tf_resflow.training import signals
from tf_resflow.training import strategies
from tf_resflow.training import trainer as trainer_lib
from tf_resflow.training import workdir as workdir_lib

_logger = logging.getLogger(__name__)


def train(
    config: configuration.Config, workdir: str,
    evaluate_fn: Callable[[models.Flow], dict[str, float]] | None = None,
    save_images_fn: Callable[[str, np.ndarray], None] | None = None,
    picture_fn: Callable[[models.Flow], np.ndarray] | None = None,
    strategy: tf.distribute.Strategy | None = None,
    lock_timeout: float = 60.0, takeover: bool = False) -> trainer_lib.Trainer:
  """Trains a flow, or continues the run in `workdir`.

  One process trains a run at a time, see `lease.Lease`.

  Args:
    config: configuration of the run.
    workdir: folder of the run.
    evaluate_fn: called as `evaluate_fn(model)` with averaged weights every
      `evaluate_every` steps; returns a dict of scalars to log. `keep_best` uses
      `validation_NAME` for each metric of the objective, as
      `evaluation.report.validation_fn` has them.
    save_images_fn: see `MetricsWriter`.
    picture_fn: called as `picture_fn(model)` with averaged weights every
      `sample_every` steps; returns images for `MetricsWriter.write_images`. By
      default these are samples of image flows, and none for other flows.
    strategy: by default that of the configuration.
    lock_timeout: seconds without a sign of life after which a process on
      another machine that trains the run counts as dead.
    takeover: whether to take the run from another process, which then ends.

  Returns:
    The `Trainer` after the last step.

  Raises:
    InvalidValueError: if the configuration or the workdir is invalid.
    TrainingDivergedError: if the loss or its gradient is not finite.
    TrainingInterruptedError: after a signal, with the state saved.
    LeaseLostError: if another process has taken over the run.
    OSError: if a file cannot be written.
  """
  errors.check_suits(
      evaluate_fn is not None or not config.run.keep_best, 'keep_best', 'true',
      'requires evaluate_fn', 'It computes the validation loss: give '
      'evaluate_fn=evaluation.report.validation_fn(config), or make_config('
      'num_validation=0).')
  strategy = strategy or strategies.make_strategy(config.run.strategy)
  is_chief = strategies.is_chief(strategy)
  with contextlib.ExitStack() as stack:
    stack.enter_context(strategies.naming_lost_peers(strategy))
    check_fn: Any = bool  # Checks nothing.
    if is_chief:
      workdir_lib.check(workdir, config)
      check_fn = stack.enter_context(
          lease_lib.Lease(workdir, lock_timeout, takeover)).check
      # Another process may have written.
      config = workdir_lib.check(workdir, config)
      files.check_no_links(workdir)
      files.remove_leftovers(workdir)
    # Checks data and batch size before anything is written. A signal exits at
    # once: there is nothing to save yet, and downloads take long.
    trainer = trainer_lib.Trainer(config, workdir, strategy, check_fn)
    stop: signals.Stop | signals.SharedStop
    stop = stack.enter_context(signals.deferring())
    if strategies.num_workers(strategy) > 1:
      stop = signals.SharedStop(stop)

    def check_stop():
      stop.agree(strategies.gather(strategy, int(stop.is_asked)))
      stop.check(trainer.step)

    if is_chief:
      check_fn()
      workdir_lib.prepare(workdir, config, trainer.split)
    trainer.restore_or_initialize()
    check_stop()
    if trainer.is_finished and not _is_unfinished(trainer):
      _logger.warning('%s', _finished(trainer))
      return trainer
    with metrics.MetricsWriter(
        workdir, start_step=trainer.step, save_images_fn=save_images_fn,
        check_fn=check_fn
    ) if is_chief else metrics.NoMetricsWriter() as writer:
      _run(trainer, writer, stop, evaluate_fn, picture_fn)
    check_stop()  # And waits until the chief has written.
    return trainer


def _unfinished_path(trainer: trainer_lib.Trainer) -> pathlib.Path:
  return pathlib.Path(trainer.workdir, 'checkpoints', 'unfinished')


def _is_unfinished(trainer: trainer_lib.Trainer) -> bool:
  """Returns whether a signal ended validation or samples after this step."""
  path = _unfinished_path(trainer)
  return path.is_file() and path.read_bytes() == f'{trainer.step}'.encode()


def _finished(trainer: trainer_lib.Trainer) -> str:
  """Returns why a run is finished, and how to continue it."""
  config = trainer.config
  num_steps = config.optimizer.num_steps
  if trainer.best and trainer.best.is_stopped:
    return (f'{_ended(trainer)} The run has finished; to continue it, raise '
            '--patience.')
  can_continue = not config.replace(
      num_steps=num_steps + 1).differences(config)
  return (f'The run has already finished {trainer.step} of {num_steps} steps.' +
          can_continue * ' To continue it, raise --num_steps.')


def _run(trainer: trainer_lib.Trainer, writer: metrics.MetricsWriter,
         stop: signals.Stop | signals.SharedStop, evaluate_fn: Any,
         picture_fn: Any) -> None:
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
      trainer.columns, periodic_tasks, trainer.model.unit_note,
      _advice(trainer.config))

  def log(step):
    if not progress.has_steps:
      return
    row, first_bad_step = progress.end_window(step)
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
    writer.write(step, row)
    if trainer.is_chief:
      progress.show(step, row, trainer.is_finished)

  def validate(step):
    """Also saves the checkpoint if it is the best one."""
    with progress.between(progress_lib.VALIDATION):
      with trainer.ema.swapped(), stop.interruptible():
        values = dict(evaluate_fn(trainer.model))
      if trainer.best:
        values['validation_loss'] = trainer.validation_loss(values)
      writer.write(step, values)
      if trainer.best:
        writer.flush()
        trainer.best.offer(values['validation_loss'], step)
    loss = values['validation_loss' if trainer.best else next(iter(values))]
    progress.note = f'validation: {float(loss):.4f}' + (
        f' ({trainer.best.describe()})' if trainer.best else '')

  def write_samples(step):
    with progress.between(progress_lib.SAMPLES):
      try:
        with trainer.ema.swapped(), stop.interruptible():
          images = picture_fn(trainer.model)
      except (tf.errors.InvalidArgumentError,
              errors.InvalidValueError) as error:
        # An inverse fails, as it would each time that the run is continued.
        _logger.warning(
            'No samples at step %d: %s', step, ' '.join(str(error).split()))
      else:
        writer.write_images(step, 'samples', images)

  def run_tasks(step, due):
    """Runs those that are due; returns whether no signal has ended one."""
    try:
      if progress_lib.VALIDATION in due:
        validate(step)
        if trainer.is_finished:
          due.update(periodic_tasks)
          log(step)
      if progress_lib.SAMPLES in due:
        write_samples(step)
    except KeyboardInterrupt:
      if not stop.received:
        raise
      stop.defer()
      return False
    return True

  def due_after(step):
    return {name for name, task in periodic_tasks.items()
            if task.is_due(step, num_steps)}

  if _is_unfinished(trainer):
    if run_tasks(trainer.step, due_after(trainer.step)) and (
        trainer.is_finished):
      writer.flush()
      trainer.save()  # With what validation has decided.
      if trainer.is_chief:
        _unfinished_path(trainer).unlink()
  elif trainer.best and trainer.step == 0:
    # No flow that is kept is worse than the initial one.
    run_tasks(0, {progress_lib.VALIDATION})
  stop.check(trainer.step)
  for step, values in () if trainer.is_finished else trainer.steps(stop):
    progress.add(values)
    due = due_after(step)
    if stop.received:
      due.add(progress_lib.CHECKPOINTS)
    if progress_lib.CHECKPOINTS in due or step % config.log_every == 0:
      log(step)
    if due - {progress_lib.CHECKPOINTS}:
      trainer.check_finite()
    is_whole = run_tasks(step, due)
    if progress_lib.CHECKPOINTS in due or stop.received:
      log(step)
      with progress.between(progress_lib.CHECKPOINTS):
        writer.flush()
        if not is_whole:
          # The next start runs the tasks of this step again, and then goes on.
          files.write_text(str(_unfinished_path(trainer)), f'{step}')
        trainer.save()
      stop.check(step)
    if trainer.is_finished:
      break
  if trainer.best:
    _logger.info('%s', _ended(trainer))


def _advice(config: configuration.Config) -> str:
  """Returns what shortens a run on files of large images, in a few words."""
  data = config.data
  if data.resize is not None or not data.dataset.startswith('images:'):
    return ''
  size = min(config.model.image_shape[:2]) // 8 * 4  # Pyramids halve it twice.
  return f'about a third with --resize={size}, in a new workdir' * (size >= 16)


def _ended(trainer: trainer_lib.Trainer) -> str:
  """Returns where a run with a best checkpoint has ended, and its best step."""
  best: Any = trainer.best
  step = trainer.step
  stopped = (f'Stopped at step {step}: validation did not improve for '
             f'{trainer.config.run.patience} steps. ')
  improving = (' It was still improving at the last step: a new run with more '
               '--num_steps may be better.')
  is_last = 0 < step == int(best.step.numpy())
  return (stopped * best.is_stopped + f'Validation: {best.describe()}.' +
          improving * (is_last and not best.is_stopped))
