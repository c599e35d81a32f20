"""Models in folders of runs: making such a folder of one, and loading one."""

from collections.abc import Mapping
import os
import tempfile

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.training import checkpoints
from tf_resflow.training import ema as ema_lib
from tf_resflow.training import files
from tf_resflow.training import workdir as workdir_lib


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
  workdir_lib.check_is_new(workdir)
  errors.check(
      config.model == model.config, 'model', model.name,
      'the model that the configuration describes')
  parent, name = os.path.split(os.path.abspath(workdir))
  os.makedirs(parent, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix=f'.{name}.', dir=parent) as folder:
    draft = os.path.join(folder, name)
    workdir_lib.prepare(draft, config)
    for file_name, text in (extra_files or {}).items():
      files.write_text(os.path.join(draft, file_name), text)
    checkpoint = tf.train.Checkpoint(
        model=model, ema=ema_lib.ExponentialMovingAverage(model),
        step=tf.Variable(0, dtype=tf.int64))
    with files.writing('the weights'):
      checkpoints.make_manager(
          checkpoint, draft, config.run.checkpoints_to_keep).save(0)
    # A rename replaces an empty folder, and fails where one has been filled.
    os.rename(draft, workdir)


def load_model(
    workdir: str, averaged: bool = True, dtype: str = 'float32'
) -> tuple[models.Flow, int]:
  """Returns the model of a run with the weights of its latest checkpoint.

  Args:
    workdir: path of the run.
    averaged: whether to take the averaged weights (EMA), as evaluation does.
    dtype: 'float32' or 'float64'.

  Returns:
    The model, and the step of the checkpoint.

  Raises:
    InvalidValueError: if there is no run, no checkpoint, or a broken one.
  """
  path = workdir_lib.path_of(workdir, workdir_lib.MODEL_JSON)
  with open(path, encoding='utf-8') as f:
    config = configuration.model_from_json(f.read(), path)
  latest = checkpoints.latest(workdir)
  errors.check(latest is not None, 'workdir', workdir,
               'a run with a checkpoint', 'Train until the first one.')
  model = config.build()
  ema = ema_lib.ExponentialMovingAverage(model)
  step = tf.Variable(0, dtype=tf.int64)
  checkpoints.restore(
      tf.train.Checkpoint(model=model, ema=ema, step=step), latest,
      partial=True)
  if averaged:
    ema_lib.assign(model.trainable_variables, ema.averages)
  if dtype != model.compute_dtype:
    narrow, model = model, config.build(dtype)
    ema_lib.assign(model.variables, (v.numpy() for v in narrow.variables))
  model.save_norms()
  return model, int(step.numpy())
