"""Training loop: steps, and callbacks after them."""

from collections.abc import Callable, Iterable, Sequence
import contextlib
import logging

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.training import callbacks as callbacks_lib
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
    evaluate_fn: callbacks_lib.EvaluateFn | None = None,
    save_images_fn: Callable[[str, np.ndarray], None] | None = None,
    callbacks: Sequence[callbacks_lib.Callback] = (),
    strategy: tf.distribute.Strategy | None = None,
    lock_timeout: float = 60.0, takeover: bool = False,
    split: datasets.Split | None = None, verbose: bool = True,
) -> trainer_lib.Trainer:
  """Trains a flow, or continues the run in `workdir`.

  One process trains a run at a time, see `lease.Lease`.

  Args:
    config: configuration of the run.
    workdir: folder of the run.
    evaluate_fn: called as `evaluate_fn(model)` with averaged weights every
      `evaluate_every` steps; returns a dict of scalars to log. `keep_best` uses
      `validation_NAME` for each metric of the objective, as
      `evaluation.report.Validation` has them.
    save_images_fn: see `MetricsWriter`.
    callbacks: what else the run does after some of its steps. One of the name
      `log`, `checkpoints`, `validation` or `samples` takes the place of that of
      the run; there are samples of image flows alone.
    strategy: by default that of the configuration.
    lock_timeout: seconds without a heartbeat after which a process on another
      machine that trains the run counts as dead.
    takeover: whether to take the run from another process, which then ends.
    split: the training part of the data, if it is open already.
    verbose: whether to show the progress.

  Returns:
    The `Trainer` after the last step.

  Raises:
    InvalidValueError: if the configuration or the workdir is invalid.
    TrainingDivergedError: if the loss or its gradient is not finite.
    TrainingInterruptedError: after a signal, with the state saved.
    LeaseLostError: if another process has taken over the run.
    OSError: if a file cannot be written.
  """
  errors.check(
      evaluate_fn is not None or not config.run.keep_best, 'keep_best', 'true',
      problem='requires evaluate_fn', advice='It computes the validation loss: '
      'tf_resflow.fit(config) has one; or take make_config(num_validation=0).')
  strategy = strategy or strategies.make_strategy(config.run.strategy)
  with contextlib.ExitStack() as stack:
    stack.enter_context(strategies.naming_lost_peers(strategy))
    check_fn: Callable[[], object] = bool  # Checks nothing.
    if strategies.is_chief(strategy):
      workdir_lib.check(workdir, config)
      check_fn = stack.enter_context(
          lease_lib.Lease(workdir, lock_timeout, takeover)).check
      # Another process may have written.
      config = workdir_lib.check(workdir, config)
      files.clean(workdir)
    # Checks data and batch size before anything is written. A signal exits at
    # once: there is nothing to save yet, and downloads take long.
    trainer = trainer_lib.Trainer(config, workdir, strategy, check_fn, split)
    stop = signals.RunStop(
        stack.enter_context(signals.deferring()),
        strategies.num_workers(strategy) > 1)
    if trainer.is_chief:
      check_fn()
      workdir_lib.write_settings(workdir, config, trainer.split)
    trainer.restore_or_initialize()
    _check_stop(trainer, stop)
    if trainer.is_finished and trainer.callbacks_done:
      _logger.warning('%s', workdir_lib.describe_end(
          config, trainer.step, trainer.best))
      return trainer
    with metrics.MetricsWriter(
        workdir, trainer.step, not trainer.callbacks_done, save_images_fn,
        check_fn) if trainer.is_chief else metrics.NoMetricsWriter() as writer:
      _run(trainer, writer, stop, _callbacks(
          trainer, evaluate_fn, callbacks), trainer.is_chief and verbose)
    _check_stop(trainer, stop)  # Waits until the chief has written.
    return trainer


def _check_stop(trainer: trainer_lib.Trainer, stop: signals.RunStop) -> None:
  """Raises `TrainingInterruptedError` if any process was asked to stop."""
  stop.merge_requests(strategies.gather(trainer.strategy, stop.request))
  stop.check(trainer.step)


def _callbacks(
    trainer: trainer_lib.Trainer, evaluate_fn: callbacks_lib.EvaluateFn | None,
    callbacks: Iterable[callbacks_lib.Callback],
) -> list[callbacks_lib.Callback]:
  """Returns the callbacks of a run, in the order in which they are called."""
  config, make = trainer.config.run, callbacks_lib.Callback
  run = callbacks_lib.ActiveRun
  found = [
      make(name='log', every=config.log_every, after=run.log),
      make(name='checkpoints', every=config.checkpoint_every, at_end=True,
           after=run.save)]
  if evaluate_fn is not None:
    found.append(callbacks_lib.validate(
        int(config.evaluate_every), evaluate_fn, bool(config.keep_best)))
  if trainer.model.is_image:
    found.append(callbacks_lib.write_samples(config.sample_every))
  by_name = {callback.name: callback for callback in [*found, *callbacks]}
  return [callback for callback in by_name.values() if callback.every]


def _run(trainer: trainer_lib.Trainer,
         writer: metrics.MetricsWriter | metrics.NoMetricsWriter,
         stop: signals.RunStop,
         callbacks: Sequence[callbacks_lib.Callback],
         is_shown: bool) -> None:
  """Runs the remaining steps; see `train`."""
  optimizer = trainer.config.optimizer
  run = callbacks_lib.ActiveRun(trainer, writer, progress_lib.Progress(
      trainer.step, optimizer.num_steps,
      optimizer.batch_size * optimizer.accumulation_steps, trainer.columns,
      trainer.model.unit_note, is_shown), stop)
  if not trainer.callbacks_done:  # A signal or a kill came before.
    _after_step(run, callbacks)
  stop.check(trainer.step)
  for values in () if trainer.is_finished else trainer.steps(stop):
    run.progress.add(values)
    if _after_step(run, callbacks):
      break
  if trainer.best:
    _logger.info('%s', trainer.best.describe_end(trainer.step))


def _after_step(run: callbacks_lib.ActiveRun,
                callbacks: Sequence[callbacks_lib.Callback]) -> bool:
  """Calls the callbacks that are due, and saves where the run ends.

  Returns:
    Whether the run is finished.

  Raises:
    TrainingInterruptedError: after a signal.
  """
  trainer = run.trainer
  step, is_finished = trainer.step, trainer.is_finished
  try:
    for callback in callbacks:
      if callback.is_due(step, is_finished):
        with run.progress.paused():
          callback.after(run)
        is_finished = trainer.is_finished  # Validation may have ended it.
    trainer.callbacks_done = True
  except KeyboardInterrupt:
    if not run.stop.received:
      raise
  if run.stop.received or is_finished:
    run.save()
  run.stop.check(step)
  return is_finished
