"""The trainings of a run: on its data, from a mixture on, on all rows."""

from collections.abc import Callable
import dataclasses
import functools
import logging
import os
import shutil
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import training
from tf_resflow.specs import fields
from tf_resflow.training import best_checkpoint
from tf_resflow.training import strategies
from tf_resflow.workflow import runs

_logger = logging.getLogger(__name__)


def trained(
    config: configuration.Config, workdir: str,
    strategy: tf.distribute.Strategy, **options: Any,
) -> tuple[models.Flow, Callable[[str], Any]]:
  """Trains, or goes on, as often as a configuration asks for.

  With `base=auto` once more if a mixture of Gaussians is better on the
  validation rows, from that on; with `refit` at last on all rows, as many
  steps as validation chose.

  Args:
    config: the configuration of the run, with its data opened.
    workdir: folder of the run.
    strategy: what it is trained with.
    **options: those of `training.train`.

  Returns:
    The flow with the weights that tools load and its `run`, and what opens
    parts of the data that it was trained on last.
  """
  open_fn = functools.cache(config.open_split)  # Each part once.
  validate = _validation_fn(open_fn, strategy)
  flow = _trained(config, workdir, strategy, open_fn, validate, **options)
  if getattr(config.model, 'base', '') == fields.AUTO:
    flow = _or_as_mixture(flow, workdir, strategy, open_fn, validate, **options)
  if config.run.refit and flow.run.chosen_step is not None:
    return _refitted(flow, workdir, strategy, **options)
  return flow, open_fn


def _trained(config, workdir, strategy, open_fn, evaluate_fn, **options):
  """Trains, and returns the flow with the weights that tools load."""
  trainer = training.train(
      config, workdir, evaluate_fn=evaluate_fn,
      save_images_fn=evaluation.plots.save_image_grid,
      callbacks=_pictures(config, open_fn('train')), strategy=strategy,
      split=open_fn('train'), **options)
  config = trainer.config  # With what was fitted when the run began.
  if best_checkpoint.best(workdir):
    with strategy.scope():
      flow, step = training.workdir.restore_model(workdir, model=trainer.model)
  else:
    trainer.ema.assign_weights()
    flow, step = training.workdir.for_evaluation(trainer.model), trainer.step
  flow.run = runs.Run(
      config=config, workdir=workdir, step=step, facts=runs.facts(config),
      strategy=strategy)
  return flow


def _or_as_mixture(flow, workdir, strategy, open_fn, validate, **options):
  """Returns the flow, or one whose base is a mixture if that alone is better.

  Better on the validation rows: its best step, from 0 on, is no worse.
  """
  config, folder = flow.run.config, runs.mixture_folder(workdir)
  if config.info.weights or not (
      config.data.num_validation and config.run.keep_best):
    return flow
  config = config.replace(base='mixture')
  if not os.path.exists(folder):
    # All blocks begin as the identity, so that one has the same density.
    learner = training.Learner(config.replace(num_blocks=1), strategy)
    learner.initialize_by(open_fn('train'))
    mixture, trained = (
        validate(model)['validation_nats'] for model in (learner.model, flow))
    if not mixture < trained:
      return flow
    _logger.info(
        'On the validation rows a mixture of Gaussians has %.3f nats, the flow '
        '%.3f: training again, from the mixture on.', mixture, trained)
  run, flow = flow.run, _trained(
      config, folder, strategy, open_fn, validate, **options)
  flow.run = dataclasses.replace(run, step=flow.run.step)
  return flow


def _refitted(flow, workdir, strategy, **options):
  """Returns the flow of all training rows, and what opens parts of them."""
  run, folder = flow.run, runs.refit_folder(workdir)
  num_steps, info = run.chosen_step, run.config.info
  config = runs.refit_config(run.config, workdir)
  _logger.info('Training again, on all %s training rows, to step %s.',
               f'{info.num_train:,}', f'{num_steps:,}')
  open_fn = functools.cache(config.open_split)
  flow = _trained(
      config, folder, strategy, open_fn, None, **options
  ) if num_steps else _initial(config, folder, strategy, open_fn)
  flow.run = dataclasses.replace(
      run, step=num_steps, facts=runs.facts(config), is_refit=True)
  return flow, open_fn


def _initial(config, workdir, strategy, open_fn):
  """Returns a flow that is initialised, and with it a mixture fitted; saves it.
  """
  learner = training.Learner(config, strategy)
  learner.initialize_by(open_fn('train'))
  if strategies.is_chief(strategy):
    shutil.rmtree(workdir, ignore_errors=True)  # What was damaged.
    training.workdir.create_workdir(workdir, config, learner.model)
    training.workdir.write_settings(workdir, config, open_fn('train'))
  return training.workdir.for_evaluation(learner.model)


def _validation_fn(open_fn, strategy):
  """Returns an `evaluate_fn` for `training.train`."""
  # Made once: TensorFlow keeps its graphs.
  validation_of = functools.cache(
      lambda model: evaluation.report.Validation(model, strategy))
  return lambda model: validation_of(model)(open_fn('validation'))


def _pictures(config, split):
  """Returns the callback that draws a density in two dimensions, if any."""
  if split.event_shape != (2,) or split.is_conditional:
    return []
  points = split.arrays['x'].numpy()
  log_prob_of = functools.cache(evaluation.plots.traced_log_prob)
  return [training.callbacks.write_samples(
      config.run.sample_every, lambda model: evaluation.density_picture(
          model, points, seed=config.run.seed,
          log_prob_fn=log_prob_of(model))[np.newaxis])]
