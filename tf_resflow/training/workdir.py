"""The folder of a run: checks, making one, and loading of models.

docs/training.md lists its files; run.flags marks a folder as a run.
"""

from collections.abc import Mapping
import os
from typing import Any

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import drafts
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.models import model_config
from tf_resflow.specs import paths
from tf_resflow.training import best_checkpoint
from tf_resflow.training import checkpoints
from tf_resflow.training import ema as ema_lib
from tf_resflow.training import files
from tf_resflow.training import train_rows


def check(workdir: str, config: configuration.Config) -> configuration.Config:
  """Checks that a run can be started or continued in a folder.

  Returns:
    The configuration to go on with, see `Config.with_data_fields_of`.

  Raises:
    InvalidValueError: if the folder holds a run of another configuration, a run
      whose checkpoints are lost, or other files.
  """
  files.check_path(workdir, writes=True)
  previous = files.check_run(workdir, config)
  if previous is None:
    return config
  latest = checkpoints.latest(workdir)
  differences = config.differences(previous)
  if latest and differences and not checkpoints.has_optimizer(latest):
    # Initial weights may be trained with any other flags.
    files.check_equal(
        workdir, config.model.function_differences(previous.model),
        'weights of this model', mark='')
    return config
  files.check_equal(workdir, differences)
  return config.with_data_fields_of(previous)


def write_settings(workdir: str, config: configuration.Config,
                   train: datasets.Split | None = None) -> None:
  """Creates the folder of a run; writes its flags and model.

  `train_rows.npy` is made once from the training part, if it is given.
  """
  os.makedirs(workdir, exist_ok=True)
  latest = checkpoints.latest(workdir)
  if train is not None and not (
      train_rows.is_readable(workdir)
      # Before the first checkpoint of training the data may be others.
      and latest and checkpoints.has_optimizer(latest)):
    train_rows.write(workdir, train)
  files.write_text(
      os.path.join(workdir, files.MODEL_JSON), config.model.to_json())
  # Last, because it marks the folder as a run.
  files.write_text(
      os.path.join(workdir, files.RUN_FLAGS), flags_lib.to_flagfile(config))


def check_is_new(workdir: str | os.PathLike) -> None:
  """Raises `InvalidValueError` unless a run can be made in a folder."""
  files.check_path(workdir)
  paths.check_new_folder('workdir', workdir, 'It has files.')


def create_workdir(
    workdir: str | os.PathLike, config: configuration.Config,
    model: models.Flow,
    extra_files: Mapping[str, str] | None = None, step: int = 0) -> None:
  """Creates the folder of a run at a step from a model, atomically.

  Averages equal the weights, and there is no optimizer state, so that training
  starts with a new optimizer. `extra_files` maps names of additional files to
  their texts.

  Raises:
    InvalidValueError: for a folder that is not new or empty, or another model
      than that of the configuration.
    OSError: if it cannot be written.
  """
  check_is_new(workdir)
  errors.check(config.model == model.config, 'model', model.name,
               'the model that the configuration describes')
  with drafts.atomic_path(workdir) as path:
    draft = str(path)
    write_settings(draft, config)
    for file_name, text in (extra_files or {}).items():
      files.write_text(os.path.join(draft, file_name), text)
    checkpoint = tf.train.Checkpoint(
        model=model, ema=ema_lib.ExponentialMovingAverage(model),
        step=tf.Variable(step, dtype=tf.int64), **checkpoints.config_of(model))
    checkpoints.check_tracked(checkpoint)
    checkpoints.save(checkpoint, os.path.join(draft, 'checkpoints'), step, 1)


def finished(workdir: str, config: configuration.Config) -> str:
  """Returns why a run is finished, and how to continue it.

  It reads the latest checkpoint alone: neither data nor a model are needed.

  Returns:
    A sentence or two; none of a run that is not finished, or not there.

  Raises:
    InvalidValueError: if checkpoints were written but none is left.
  """
  path = checkpoints.latest(workdir)
  if path is None or any(map(checkpoints.corruption, [
      path, *checkpoints.complete(os.path.join(workdir, 'best'))])):
    return ''  # Training goes on from an earlier one.
  state = {'step': tf.Variable(0, dtype=tf.int64),
           'callbacks_done': tf.Variable(True)}
  best = None
  if config.run.keep_best:
    best = state['best'] = best_checkpoint.BestCheckpoint(
        workdir, int(config.run.patience), writes=False)
  tf.train.Checkpoint(**state).read(path).expect_partial()
  step = int(state['step'].numpy())
  if not (state['callbacks_done'].numpy() and is_finished(config, step, best)):
    return ''
  return describe_end(config, step, best)


def is_finished(
    config: configuration.Config, step: int,
    best: best_checkpoint.BestCheckpoint | None) -> bool:
  """Returns whether all updates are done, or validation has stopped a run."""
  return step >= config.optimizer.num_steps or bool(best and best.is_stopped)


def describe_end(
    config: configuration.Config, step: int,
    best: best_checkpoint.BestCheckpoint | None) -> str:
  """Returns why a run is finished after a step, and how to continue it."""
  if best and best.is_stopped:
    return (f'{best.describe_end(step)} The run has finished; to continue it, '
            'raise --patience.')
  num_steps = config.optimizer.num_steps
  text = f'The run has already finished {step} of {num_steps} steps.'
  if config.replace(num_steps=num_steps + 1).differences(config):
    return text
  return f'{text} To continue it, raise --num_steps.'


def restore_model(
    workdir: str, averaged: bool = True, dtype: str = 'float32',
    checkpoint: str = 'auto', model: Any = None) -> tuple[models.Flow, int]:
  """Restores the model of a run from a checkpoint.

  Args:
    workdir: folder of the run.
    averaged: whether to use the averaged weights (EMA), as in evaluation.
    dtype: 'float32' or 'float64'.
    checkpoint: 'best' for the lowest validation loss, 'latest', or 'auto' for
      the best if the run keeps it, otherwise the latest.
    model: what takes the weights; by default it is built.

  Returns:
    The model, with `models.Flow.evaluation_estimator` as its default estimator
    of log-determinants, and the step of the checkpoint.

  Raises:
    InvalidValueError: if there is no run or no checkpoint, the best or every
      other checkpoint is damaged, or it is not invertible in this dtype.
  """
  config = model_config.load(files.path_of(workdir, files.MODEL_JSON))
  ema: Any = None
  while True:
    found = _complete(workdir)
    try:
      path = _path_of(workdir, checkpoint)
      if ema is None:  # Only now, since to build a deep one takes long.
        model = model or config.build()
        ema = ema_lib.ExponentialMovingAverage(model)
      step = tf.Variable(0, dtype=tf.int64)
      checkpoints.restore(
          tf.train.Checkpoint(model=model, ema=ema, step=step), path)
      break
    except errors.InvalidValueError:
      if _complete(workdir) == found:
        raise  # Otherwise the process that trains has removed it meanwhile.
  if averaged:
    ema.assign_weights()
  if dtype != model.compute_dtype:
    loaded, model = model, config.build(dtype)
    ema_lib.assign(model.variables, (v.numpy() for v in loaded.variables))
  return for_evaluation(model), int(step.numpy())


def for_evaluation(model: models.Flow) -> models.Flow:
  """Returns a trained model, whose default estimator is that of evaluations.

  Raises:
    InvalidValueError: if it is not invertible.
  """
  model.bijection.check_weights()
  model.save_norms()
  model.estimator = model.evaluation_estimator()
  return model


def _complete(workdir):
  return [checkpoints.complete(os.path.join(workdir, name))
          for name in ('checkpoints', 'best')]


def _path_of(workdir, checkpoint):
  """Returns the path of the checkpoint that `restore_model` was asked for."""
  path = '' if checkpoint == 'latest' else best_checkpoint.best(workdir) or ''
  errors.check(
      path or checkpoint != 'best', 'checkpoint', checkpoint,
      problem=f'does not exist in {workdir}',
      advice='Take latest, or train with --keep_best.')
  path = path or checkpoints.latest_readable(workdir) or ''
  errors.check(path, 'workdir', workdir,
               'a run with a checkpoint', 'Continue training it.')
  return path
