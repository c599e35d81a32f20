"""A model that learns: its optimizer, its averages, its training step."""

from typing import Any

import tensorflow as tf

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.models import objectives
from tf_resflow.models import train_step as step_lib
from tf_resflow.numerics import random
from tf_resflow.specs import machine
from tf_resflow.training import ema as ema_lib
from tf_resflow.training import optimizers
from tf_resflow.training import strategies


class Learner:
  """A model, its optimizer and its training step under a strategy.

  Args:
    config: configuration of the run; its data, if they are open, are checked.
    strategy: by default that of the configuration.

  Attributes:
    model, ema: the latest weights, and their moving average.
    optimizer, objective, train_step: what a `step.TrainStep` needs, and it.

  Raises:
    InvalidValueError: if the batch size is not divisible by the replicas, or
      exceeds the memory.
  """

  def __init__(self, config: configuration.Config,
               strategy: tf.distribute.Strategy | None = None):
    self.config, settings = config, config.optimizer
    self.strategy = strategy or strategies.make_strategy(config.run.strategy)
    num_replicas = self.strategy.num_replicas_in_sync
    errors.check(
        settings.batch_size % num_replicas == 0, 'batch_size',
        settings.batch_size,
        f'a multiple of {num_replicas}, the number of replicas')
    with self.strategy.scope():
      self.model = config.model.build()
      self.optimizer = optimizers.make_optimizer(settings)
      with base_layer.variables_named('state'):
        self.optimizer.build(self.model.trainable_variables)
      self.ema = ema_lib.ExponentialMovingAverage(
          self.model, settings.ema_decay)
      self._num_skipped = tf.Variable(0, dtype=tf.int64, trainable=False)
    errors.check(
        not (config.info and config.info.weights and
             self.model.base.is_data_dependent), 'base', 'mixture',
        problem='cannot be used with sample_weight',
        advice='Its mixture would be one of unweighted rows; use normal.')
    # At least the batch, two that are waiting, noise, latents and gradients.
    num_bytes = 6 * 4 * self.model.latent_size
    for name in ('batch_size', 'accumulation_steps'):
      num_bytes *= (value := getattr(settings, name))
      machine.check_memory(num_bytes, name, value)
    self.objective = objectives.objective_of(
        self.model, config.objective.nll_weight_of(self.model.event_size),
        config.objective.objective, config.info)
    self.train_step = step_lib.TrainStep(
        self.model, self.optimizer, self.objective, self.ema,
        clip_norm=settings.clip_norm,
        accumulation_steps=settings.accumulation_steps,
        annealing_steps=config.objective.annealing_steps,
        order_gradient=config.objective.order_gradient,
        input_noise=float(settings.input_noise),
        num_steps=settings.num_decay_steps,
        seed=config.run.seed, jit_compile=config.run.jit_compile)

  @property
  def columns(self) -> dict[str, str]:
    """Columns of metrics with a log-determinant, by the names of these.

    `biased_NAME` by its estimator, `noisy_NAME` of perturbed data.
    """
    prefix = 'biased_' if self.model.is_biased else ''
    if float(self.config.optimizer.input_noise) > 0:
      prefix += 'noisy_'
    return {name: f'{prefix}{name}' for name in self.objective.density_metrics}

  @property
  def state(self) -> dict[str, Any]:
    """Objects saved in checkpoints, besides the step."""
    return {'model': self.model, 'optimizer': self.optimizer, 'ema': self.ema,
            'skipped': self._num_skipped}

  def initialize(self, batch: objectives.Batch) -> None:
    """Initialises norms, ActNorms and averages from a distributed batch."""
    # Before the first pass, which then needs no power iteration.
    self.model.save_norms()

    def run(batch):
      x, condition = batch.x, batch.condition
      if batch.weight is not None:  # Drawn by their weights.
        chosen = tf.random.stateless_categorical(
            [tf.math.log(batch.weight + 1e-6)], tf.shape(x)[0],
            random.as_seed(self.config.run.seed).values)[0]
        x = tf.gather(x, chosen)
        condition = None if condition is None else tf.gather(condition, chosen)
      self.model.initialize(x, condition, seed=self.config.run.seed)

    # With one replica, eager execution is faster than tracing.
    if self.strategy.num_replicas_in_sync > 1:
      run = tf.function(run, autograph=False)
    self.strategy.run(run, args=(batch,))
    self.ema.reset()

  def initialize_by(self, split: datasets.Split) -> None:
    """Initialises from the first batch, and a base from all examples."""
    self.initialize(next(iter(strategies.distributed_batches(
        self.config, split, self.strategy, 0))))
    if self.model.base.is_data_dependent:
      self.model.fit_base(*map(split.arrays.get, ('x', 'condition')),
                          seed=self.config.run.seed)
      # Others may have rounded otherwise, or had less time.
      self.model.set_weights([
          strategies.gather(self.strategy, weight)[0]
          for weight in self.model.get_weights()])
      self.ema.reset()  # Of what depends on the condition.

  @tf.function(autograph=False)
  def run_step(self, batch: objectives.Batch, step: tf.Tensor,
               *stop: tf.Tensor) -> objectives.Metrics:
    """Updates the model by a distributed batch; see `step.TrainStep`.

    Of several processes each may give a number, `stop`, whose mean is a metric.

    Returns:
      Metrics of the global batch. With `skip_nonfinite` these have `skipped`, 0
      or 1: a batch whose metrics or gradients are not finite changes only the
      number of those that were skipped.
    """
    def local(tree):  # Equal on all replicas.
      return tf.nest.map_structure(
          lambda v: self.strategy.experimental_local_results(v)[0], tree)

    arguments, limit = (batch, step), self.config.optimizer.skip_nonfinite
    if not limit:
      return local(self.strategy.run(self.train_step, (*arguments, *stop)))
    reduced = self.strategy.run(
        self.train_step.reduced_gradients, (*arguments, *stop))
    metrics, gradients = local(reduced)
    norm = tf.linalg.global_norm(gradients)
    is_skipped = (self._num_skipped < limit) & ~tf.reduce_all(
        [tf.math.is_finite(tf.cast(v, norm.dtype))
         for v in (norm, *metrics.values())])

    def skip():
      self._num_skipped.assign_add(1)
      return {**metrics, 'gradient_norm': norm,
              'power_iteration_steps': tf.constant(0), 'skipped': 1}

    # An optimizer synchronises replicas, which no `tf.cond` of a replica may.
    return tf.cond(is_skipped, skip, lambda: local(self.strategy.run(
        self.train_step.update, (*arguments, *reduced))) | {'skipped': 0})
