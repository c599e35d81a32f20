"""The folder of a run: what stands where, and what may be continued.

It can be made of a model, and gives its model back.

    run.flags      the configuration; its presence says that this is a run
    model.json     that of the model
    metrics.csv    one row every `log_every` updates
    checkpoints/   weights, optimizer, averages
    best/          the same of the update that validated best, with keep_best
    tensorboard/   the metrics once more, and samples
    samples/       grids of samples
"""

from collections.abc import Mapping
import os
import tempfile
from typing import Any

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.models import model_config
from tf_resflow.specs import spec
from tf_resflow.training import checkpoints
from tf_resflow.training import ema as ema_lib
from tf_resflow.training import files

# What a process may leave that was killed while it made a run's folder.
_LEFTOVERS = {
    files.MODEL_JSON, f'{files.MODEL_JSON}.tmp', f'{files.RUN_FLAGS}.tmp'}


def check(workdir: str, config: configuration.Config) -> None:
  """Checks that a folder is new, empty, or a run that may be continued.

  And that the configuration is one of the data that it names.

  Args:
    workdir: path.
    config: of the run that is to start or go on there.

  Raises:
    InvalidValueError: if the folder holds a run of another configuration, one
      whose checkpoints are lost, or files that are not of a run.
  """
  files.check_path(workdir)
  config.check_data()
  run_flags = os.path.join(workdir, files.RUN_FLAGS)
  if not os.path.exists(run_flags):
    errors.check(files.names(workdir) <= _LEFTOVERS, 'workdir', workdir,
                 'a new or empty folder, or one of a run',
                 f'It holds files, but no {files.RUN_FLAGS}.')
    return
  latest = checkpoints.latest(workdir)
  previous = load_config(workdir)
  differences = config.differences(previous)
  if differences and latest and not checkpoints.has_optimizer(latest):
    # Weights that no run has trained yet may be trained in any way.
    differences = config.model.function_differences(previous.model)
    listed = _listed(differences, '{} is {}, not {}')
    errors.check(
        not differences, 'workdir', workdir, 'weights of this model',
        f'For those there {listed}. Give the flags of the model as they are in '
        f'{workdir}/{files.RUN_FLAGS} (--flagfile), and data of the same '
        'shape.')
  else:
    listed = _listed(differences, '--{0} was {2} and is {1}')
    errors.check(
        not differences, 'workdir', workdir, 'a run of this configuration',
        f'In the run there {listed}. Use the same flags to continue it, or '
        'another workdir.')
  changed = {} if config.differences(previous) else {
      f.name: pair for f, pair in config.model.changes(previous.model)
      if not f.is_flag}
  errors.check(
      not changed, 'dataset', config.data.dataset, 'the data of the run',
      f'They have changed since it began ({", ".join(changed)}): put them '
      'back, or take another workdir.')


def _listed(differences, template):
  """Returns a list of fields, of our value and of theirs."""
  return ', '.join(
      template.format(name, *(spec.text_of(v) or 'none' for v in pair))
      for name, pair in differences.items())


def prepare(workdir: str, config: configuration.Config) -> None:
  """Creates a run's folder, which was checked; writes flags and model."""
  os.makedirs(workdir, exist_ok=True)
  files.write_text(
      os.path.join(workdir, files.MODEL_JSON), config.model.to_json())
  # Last, because its presence says that the folder is a run.
  files.write_text(
      os.path.join(workdir, files.RUN_FLAGS), flags_lib.to_flagfile(config))


def check_is_new(workdir: str) -> None:
  """Checks that a folder does not exist or is empty.

  Raises:
    InvalidValueError: if it holds anything.
  """
  files.check_path(workdir)
  errors.check(not files.names(workdir), 'workdir', workdir,
               'a new or empty folder', 'It holds files.')


def load_config(workdir: str) -> configuration.Config:
  """Returns the configuration of the run in a folder.

  Raises:
    InvalidValueError: if there is none.
  """
  return flags_lib.from_flagfile(files.path_of(workdir, files.RUN_FLAGS),
                                 files.path_of(workdir, files.MODEL_JSON))


def create_workdir(
    workdir: str, config: configuration.Config, model: models.Flow,
    extra_files: Mapping[str, str] | None = None) -> None:
  """Makes the folder of a run at step 0 from a model, whole or not at all.

  Its averages are the weights; it has no optimizer state, so that training
  starts with that of a new run.

  Args:
    workdir: a folder that does not exist or is empty.
    config: with the configuration of the model.
    model: with the weights to store.
    extra_files: from names to texts of further files.

  Raises:
    InvalidValueError: if the folder is not empty, or the configuration is of
      another model.
    OSError: if it cannot be written.
  """
  check_is_new(workdir)
  errors.check(config.model == model.config, 'model', model.name,
               'the model that the configuration describes')
  parent, name = os.path.split(os.path.abspath(workdir))
  os.makedirs(parent, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix=f'.{name}.', dir=parent) as folder:
    draft = os.path.join(folder, name)
    prepare(draft, config)
    for file_name, text in (extra_files or {}).items():
      files.write_text(os.path.join(draft, file_name), text)
    with files.writing('the weights'):
      checkpoints.make_manager(
          tf.train.Checkpoint(
              model=model, ema=ema_lib.ExponentialMovingAverage(model),
              step=tf.Variable(0, dtype=tf.int64)),
          draft, config.run.checkpoints_to_keep).save(0)
    # A rename replaces an empty folder, and fails where one has been filled.
    os.rename(draft, workdir)


def load_model(workdir: str, averaged: bool = True, dtype: str = 'float32',
               checkpoint: str = 'latest') -> tuple[models.Flow, int]:
  """Returns the model of a run with the weights of a checkpoint.

  Args:
    workdir: path of the run.
    averaged: whether to take the averaged weights (EMA), as evaluation does.
    dtype: 'float32' or 'float64'.
    checkpoint: 'latest', or 'best' for that of the lowest validation loss.

  Returns:
    The model, whose log-determinants are those of evaluations unless a call
    names another estimator, see `models.Flow.evaluation_estimator`; and the
    step of the checkpoint.

  Raises:
    InvalidValueError: if there is no run, no checkpoint, a broken one, or one
      of a bijection that has no inverse in this dtype.
  """
  config = model_config.load(files.path_of(workdir, files.MODEL_JSON))
  if checkpoint == 'best':
    path = checkpoints.best(workdir)
    errors.check(path is not None, 'checkpoint', checkpoint,
                 f'latest, since {workdir} has no best one',
                 'bin/train keeps it with --keep_best.')
  else:
    path = checkpoints.latest(workdir)
    errors.check(path is not None, 'workdir', workdir,
                 'a run with a checkpoint', 'Train until the first one.')
  model = config.build()
  ema = ema_lib.ExponentialMovingAverage(model)
  step = tf.Variable(0, dtype=tf.int64)
  checkpoints.restore(
      tf.train.Checkpoint(model=model, ema=ema, step=step), path)
  if averaged:
    ema_lib.assign(model.trainable_variables, ema.averages)
  if dtype != model.compute_dtype:
    narrow, model = model, config.build(dtype)
    ema_lib.assign(model.variables, (v.numpy() for v in narrow.variables))
  model.bijection.check_weights()
  model.save_norms()
  model.estimator = model.evaluation_estimator()
  return model, int(step.numpy())


def load(workdir: str, **options: Any) -> models.Flow:
  """Returns the model of a run, ready to be used.

  Its `log_prob`, `sample`, `bijector()` and `distribution()` are what a run is
  trained for. The data of the run need not be there. Log-determinants are those
  of evaluations: exact up to 64 dimensions; beyond, unbiased draws, which
  `seed=` repeats, and whose standard deviation is `log_prob_stderr` of
  `evaluation.evaluate_inputs(flow, x)`. Training by `objectives` takes the
  estimators of the blocks all the same, as `log_prob(x, estimator='own')` does.

  Args:
    workdir: folder of the run.
    **options: of `load_model`: `averaged`, `dtype`, `checkpoint`.

  Raises:
    InvalidValueError: see `load_model`.

  Example:
    >>> config = configuration.make_config(dataset='2d/moons', num_blocks=1)
    >>> create_workdir('moons', config, config.model.build())
    >>> load('moons').sample(4, seed=0).shape
    TensorShape([4, 2])
  """
  load_config(workdir)  # Imports the modules that register the run's kinds.
  model, _ = load_model(workdir, **options)
  return model
