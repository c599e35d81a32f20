"""The folder of a run: what stands where, and what may be continued."""

import logging
import os
import tempfile

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow.configuration import flags as flags_lib
from tf_resflow.training import ema as ema_lib

_logger = logging.getLogger(__name__)

# TensorFlow turns an unexpected end of a file into an IndexError.
_UNREADABLE = (AssertionError, IndexError, ValueError, tf.errors.OpError)

_RUN_FLAGS = 'run.flags'
_MODEL_JSON = 'model.json'
_CHECKPOINTS = 'checkpoints'

# What a process may leave that was killed while it made a run's folder.
_LEFTOVERS = {_MODEL_JSON, f'{_MODEL_JSON}.tmp', f'{_RUN_FLAGS}.tmp'}


def checkpoint_dir(workdir):
  """Returns the folder of the checkpoints."""
  return os.path.join(workdir, _CHECKPOINTS)


def latest_checkpoint(workdir):
  """Returns the path of the latest checkpoint, or None before the first.

  Checkpoints whose files were deleted are passed over, with a warning.

  Raises:
    ValueError: if checkpoints were written and none is left.
  """
  folder = checkpoint_dir(workdir)
  state = tf.train.get_checkpoint_state(folder)
  if state is None:
    return None
  for path in reversed(state.all_model_checkpoint_paths):
    if os.path.exists(f'{path}.index'):
      return path
    _logger.warning('Checkpoint %s has been deleted.', path)
  raise ValueError(
      f'all checkpoints of workdir {workdir} have been deleted; delete the '
      f'folder {folder} as well to start again.')


def restore(checkpoint, path, partial=False):
  """Loads a checkpoint.

  Args:
    checkpoint: a `tf.train.Checkpoint`.
    path: of a checkpoint, without the suffix of its files.
    partial: whether the file may hold more than `checkpoint` asks for.

  Raises:
    ValueError: if a file is broken or does not fit.
  """
  try:
    status = checkpoint.restore(path)
    if partial:
      status.assert_existing_objects_matched().expect_partial()
    else:
      status.assert_consumed()
  except _UNREADABLE as error:
    raise _unreadable(path, error) from error


def _unreadable(path, error):
  """Returns the error that says what to do about a broken checkpoint."""
  first_line = str(error).strip().splitlines()[0].rstrip('.')
  return ValueError(
      f'checkpoint {path} cannot be read: {first_line}. Delete its files to '
      'go on from the one before.')


def _write_atomically(path, text):
  temporary = f'{path}.tmp'
  with open(temporary, 'w', encoding='utf-8') as f:
    f.write(text)
  os.replace(temporary, path)


def check(workdir, config):
  """Checks that a folder is new, empty, or a run that may be continued.

  Args:
    workdir: path.
    config: a `configuration.Config`.

  Raises:
    ValueError: if the folder holds a run of another configuration, or files
      that are not of a run.
  """
  run_flags = os.path.join(workdir, _RUN_FLAGS)
  if os.path.exists(workdir) and not os.path.isdir(workdir):
    raise ValueError(
        f'workdir is {workdir}, which is a file; name a folder.')
  if os.path.exists(run_flags):
    previous = flags_lib.from_flagfile(run_flags)
    differences = config.differences(previous)
    if differences and has_only_weights(workdir):
      _check_same_model(workdir, config, previous)
    elif differences:
      listed = ', '.join(
          f'--{name} was {theirs} and is {ours}'
          for name, (ours, theirs) in differences.items())
      raise ValueError(
          f'workdir {workdir} holds a run of another configuration: {listed}. '
          'Use the same flags to continue it, or another workdir.')
  elif os.path.isdir(workdir) and set(os.listdir(workdir)) - _LEFTOVERS:
    raise ValueError(
        f'workdir {workdir} is not empty and holds no run ({_RUN_FLAGS} is '
        'missing); name a new or empty folder.')


def _check_same_model(workdir, config, previous):
  """Weights that no run has trained yet may be trained in any way."""
  differences = config.model.function_differences(previous.model)
  if not differences:
    return
  listed = ', '.join(
      f'{name} is {ours}, not {theirs}'
      for name, (ours, theirs) in differences.items())
  raise ValueError(
      f'workdir {workdir} holds weights of another model: {listed}. Give the '
      f'flags of the model as they are in {workdir}/{_RUN_FLAGS} '
      f'(--flagfile), and data of the same shape.')


def has_only_weights(workdir):
  """Whether a workdir holds a model that no run has trained there.

  Such is a folder that `create_workdir` made: at step 0, without the state of
  an optimizer.
  """
  latest = latest_checkpoint(workdir)
  return latest is not None and not _has_optimizer(latest)


def _has_optimizer(path):
  """Whether a checkpoint holds the state of an optimizer."""
  try:
    names = [name for name, _ in tf.train.list_variables(path)]
  except _UNREADABLE as error:
    raise _unreadable(path, error) from error
  return any(name.startswith('optimizer/') for name in names)


def restore_run(checkpoint, path):
  """Loads a checkpoint of a run, or of weights that a run starts from.

  Args:
    checkpoint: a `tf.train.Checkpoint` with model, optimizer, ema and step.
    path: of a checkpoint, without the suffix of its files.

  Returns:
    Whether the file holds an optimizer's state; without it the optimizer
    stays as it is.

  Raises:
    ValueError: if a file is broken or does not fit.
  """
  if _has_optimizer(path):
    restore(checkpoint, path)
    return True
  restore(
      tf.train.Checkpoint(
          model=checkpoint.model, ema=checkpoint.ema, step=checkpoint.step),
      path, partial=True)
  return False


def prepare(workdir, config):
  """Creates a run's folder and writes its flags and model; see `check`."""
  check(workdir, config)
  run_flags = os.path.join(workdir, _RUN_FLAGS)
  os.makedirs(workdir, exist_ok=True)
  _write_atomically(
      os.path.join(workdir, _MODEL_JSON), config.model.to_json())
  # Last, because its presence says that the folder is a run.
  _write_atomically(run_flags, flags_lib.to_flagfile(config))


def check_is_new(workdir):
  """Checks that a folder does not exist or is empty.

  Raises:
    ValueError: if it holds anything.
  """
  if os.path.exists(workdir) and not os.path.isdir(workdir):
    raise ValueError(
        f'workdir is {workdir}, which is a file; name a folder.')
  if os.path.isdir(workdir) and os.listdir(workdir):
    raise ValueError(
        f'workdir {workdir} is not empty; name a new or empty folder.')


def create_workdir(workdir, config, model, extra_files=()):
  """Makes the folder of a run at step 0 from a model, whole or not at all.

  Its averages are the weights; it has no optimizer state, so that training
  starts with that of a new run.

  Args:
    workdir: a folder that does not exist or is empty.
    config: a `configuration.Config` with `config.model == model.config`.
    model: a `models.ResidualFlow`.
    extra_files: dict from names to texts of further files.

  Raises:
    ValueError: if the folder is not empty, or the configuration is of another
      model.
  """
  check_is_new(workdir)
  if config.model != model.config:
    raise ValueError('config describes another model than the one given.')
  parent, name = os.path.split(os.path.abspath(workdir))
  os.makedirs(parent, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix=f'.{name}.', dir=parent) as folder:
    draft = os.path.join(folder, name)
    prepare(draft, config)
    for file_name, text in dict(extra_files).items():
      _write_atomically(os.path.join(draft, file_name), text)
    step = tf.Variable(0, dtype=tf.int64)
    ema = ema_lib.ExponentialMovingAverage(model)
    manager = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model, ema=ema, step=step),
        checkpoint_dir(draft), max_to_keep=config.run.checkpoints_to_keep)
    manager.save(checkpoint_number=0)
    # A rename replaces an empty folder, and fails where one has been filled.
    os.rename(draft, workdir)


def load_config(workdir):
  """Returns the `configuration.Config` of the run in a folder.

  Raises:
    ValueError: if there is none.
  """
  path = os.path.join(workdir, _RUN_FLAGS)
  if not os.path.exists(path):
    raise ValueError(
        f'workdir {workdir} holds no run ({_RUN_FLAGS} is missing); train one '
        'with bin/train.')
  return flags_lib.from_flagfile(path)


def load_model(workdir, averaged=True, dtype='float32'):
  """Returns the model of a run with the weights of its latest checkpoint.

  Args:
    workdir: path of the run.
    averaged: whether to take the averaged weights (EMA), as evaluation does.
    dtype: 'float32' or 'float64'.

  Returns:
    A `models.ResidualFlow` and the step of the checkpoint.

  Raises:
    ValueError: if there is no run, no checkpoint, or a broken one.
  """
  path = _model_path(workdir)
  with open(path, encoding='utf-8') as f:
    model_config = configuration.model_from_json(f.read(), path)
  latest = latest_checkpoint(workdir)
  if latest is None:
    raise ValueError(
        f'workdir {workdir} holds no checkpoint; train until the first one.')
  model = model_config.build()
  averages = [
      tf.Variable(v.value, trainable=False) for v in model.trainable_variables
  ]
  step = tf.Variable(0, dtype=tf.int64)
  ema = tf.train.Checkpoint(averages=averages)
  restore(
      tf.train.Checkpoint(model=model, ema=ema, step=step), latest,
      partial=True)
  if averaged:
    for variable, average in zip(
        model.trainable_variables, averages, strict=True):
      variable.assign(average)
  if dtype != model.compute_dtype:
    wide = model_config.build(dtype)
    for target, source in zip(wide.variables, model.variables, strict=True):
      target.assign(tf.cast(source.value, target.dtype))
    model = wide
  model.save_singular_vectors()
  return model, int(step.numpy())


def _model_path(workdir):
  path = os.path.join(workdir, _MODEL_JSON)
  if not os.path.exists(path):
    raise ValueError(
        f'workdir {workdir} holds no run ({_MODEL_JSON} is missing); train '
        'one with bin/train.')
  return path
