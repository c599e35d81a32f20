"""The training step of a replica."""

from collections.abc import Sequence
import dataclasses
import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.models import objectives
from tf_resflow.numerics import random

# Weight of the mean norm in the released code for 2-D data (train_toy).
_NORM_WEIGHT = 0.01
# After one step in so many larger norms of kernels are searched; after the
# others they are followed. So a search takes a few per cent of the time.
_SEARCHED_STEPS = 4


@dataclasses.dataclass(eq=False)
class TrainStep:
  """A training step: gradients, reduction over replicas, clipping, update.

  Replicas with parts of a global batch compute the same as one replica with the
  whole batch: the number of series terms depends only on (seed, step, block),
  the probes also on the position in the global batch, and gradients are
  averaged before clipping.

  Args:
    model: the `models.Flow` to train.
    optimizer: a Keras optimizer that does not clip gradients.
    objective: the training loss.
    ema: `training.ExponentialMovingAverage` to update, or None.
    clip_norm: maximum global norm of gradients; None disables clipping. It
      depends on the scale of the objective, see `objectives.Hybrid`.
    accumulation_steps: number of equal parts that a batch is processed in;
      with several replicas, part `i` of the global batch is the union of the
      replicas' parts `i`.
    annealing_steps: number of updates over which the weight of the
      log-determinant in the gradient (not in metrics) rises linearly from 0 to
      1; 0 disables annealing.
    order_gradient: gradient that trains the orders of learned norms:
      'likelihood', that of the objective; or 'norm', that of 0.01 times the
      mean norm of the layers.
    input_noise: standard deviation of the noise of `VectorFlow.perturb` at
      first; it falls to zero over `num_steps` updates as half a cosine.
    num_steps: number of updates.
    seed: Python int.
    jit_compile: whether to compile the gradient computation with XLA.
  """

  model: Any
  optimizer: keras.optimizers.Optimizer
  objective: objectives.Objective
  ema: Any = None
  clip_norm: float | None = 1.0
  accumulation_steps: int = 1
  annealing_steps: int = 0
  order_gradient: str = 'likelihood'
  input_noise: float = 0.0
  num_steps: int = 1
  seed: int = 0
  jit_compile: bool = False

  def __post_init__(self):
    self._variables = self.model.trainable_variables
    self._compute = tf.function(
        self.gradients, autograph=False, jit_compile=True
    ) if self.jit_compile else self.gradients

  def gradients(self, batch: objectives.Batch,
                step: tf.Tensor) -> tuple[objectives.Metrics, list[tf.Tensor]]:
    """Returns the metrics and the gradients of the loss on this replica.

    Args:
      batch: its part of the global batch.
      step: integer scalar, 0 for the first update.
    """
    step_seed = random.fold_in(random.as_seed(self.seed), step)
    num_parts, weights = self.accumulation_steps, {}
    if self.input_noise:
      angle = math.pi * tf.cast(step, batch.x.dtype) / self.num_steps
      batch = batch._replace(x=self.model.perturb(
          batch.x, 0.5 * self.input_noise * (1.0 + tf.cos(angle)),
          seed=random.fold_in(step_seed, num_parts + 1)))
    if self.annealing_steps:
      weights['log_det_weight'] = tf.minimum(
          tf.cast(step, batch.x.dtype) / self.annealing_steps, 1.0)
    if num_parts == 1:
      return self._part_gradients(batch, random.fold_in(step_seed, 0), weights)

    def split(tensor):
      shape = tf.concat([[num_parts, -1], tf.shape(tensor)[1:]], axis=0)
      return tf.ensure_shape(
          tf.reshape(tensor, shape), [num_parts, None, *tensor.shape[1:]])

    parts = [t if t is None else split(t) for t in batch]

    def body(i, *sums):
      part = objectives.Batch(*(t if t is None else t[i] for t in parts))
      values = self._part_gradients(
          part, random.fold_in(step_seed, i), weights)
      return i + 1, *tf.nest.map_structure(tf.add, sums, values)

    dtype = self.model.compute_dtype
    zeros = ({name: tf.zeros([], dtype)
              for name in self.objective.names_of(self.model)},
             [tf.zeros(v.shape, dtype) for v in self._variables])
    _, *sums = tf.while_loop(lambda i, *_: i < num_parts, body,
                             (tf.constant(0), *zeros), parallel_iterations=1)
    return tuple(tf.nest.map_structure(lambda t: t / num_parts, sums))

  def _part_gradients(self, batch, seed, weights):
    with tf.GradientTape() as tape:
      loss, metrics = self.objective(self.model, batch, seed, **weights)
    gradients = tape.gradient(loss, [v.value for v in self._variables])
    # `unconnected_gradients` would create zeros for all variables.
    return metrics, [
        tf.zeros(v.shape, v.dtype) if gradient is None else gradient
        for gradient, v in zip(gradients, self._variables, strict=True)]

  def reduced_gradients(
      self, batch: objectives.Batch, step: tf.Tensor,
      stop: tf.Tensor | None = None,
  ) -> tuple[objectives.Metrics, list[tf.Tensor]]:
    """Returns the global batch's metrics and gradients; see `gradients`."""
    metrics, gradients = self._compute(batch, step)
    if stop is not None:
      # Collectives need a device, which an argument of a graph lacks.
      metrics = {**metrics, 'stop': tf.identity(stop)}
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
      metrics, gradients = tf.distribute.get_replica_context().all_reduce(
          tf.distribute.ReduceOp.MEAN, (metrics, list(gradients)))
    return metrics, list(gradients)

  def __call__(
      self, batch: objectives.Batch, step: tf.Tensor,
      stop: tf.Tensor | None = None) -> objectives.Metrics:
    """Updates the model, the optimizer and the moving average; see `gradients`.

    `stop` is a number to average with the metrics.

    Returns:
      Scalars of the global batch, before the update: the metrics of the
      objective; `gradient_norm`, the global norm before clipping; and
      `power_iteration_steps`, the maximum number of steps over the layers after
      the update of the kernels.
    """
    return self.update(
        batch, step, *self.reduced_gradients(batch, step, stop))

  def update(self, batch: objectives.Batch, step: tf.Tensor,
             metrics: objectives.Metrics, gradients: list[tf.Tensor]
             ) -> objectives.Metrics:
    """Updates by what `reduced_gradients` returned; see `__call__`."""
    norm = tf.linalg.global_norm(gradients)
    if self.clip_norm is not None:
      gradients, _ = tf.clip_by_global_norm(
          gradients, self.clip_norm, use_norm=norm)
    if self.order_gradient == 'norm':
      # They are equal on all replicas, and not clipped.
      gradients = replace_order_gradients(
          gradients, self._variables, self.model.constrained_layers)
      # Grappler's dependency optimizer lets their reads of kernels race with
      # updates, which therefore wait for them.
      with tf.control_dependencies(gradients):
        gradients = [tf.identity(g) for g in gradients]
    num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if num_replicas > 1:
      # In replica context a Keras optimizer sums the gradients of replicas,
      # each of which passes that of the global batch.
      gradients = [g / num_replicas for g in gradients]
    self.optimizer.apply(gradients, self._variables)
    if self.ema is not None:
      self.ema.update(step)
    searches = tf.equal(step % _SEARCHED_STEPS, 0)
    counts = [layer.save_norms(searches)
              for layer in self.model.constrained_layers]
    if self.model.bijection.has_moving_statistics:
      # Uses the last part of the batch, with the same noise.
      num_parts = self.accumulation_steps
      x, condition = (
          None if tensor is None else tf.split(tensor, num_parts)[-1]
          for tensor in (batch.x, batch.condition))
      self.model.update_statistics(
          x, condition, seed=random.fold_in(
              random.fold_in(self.seed, step), num_parts - 1))
    num_steps = tf.reduce_max(tf.stack(counts)) if counts else tf.constant(0)
    return {**metrics, 'gradient_norm': norm,
            'power_iteration_steps': num_steps}


def replace_order_gradients(
    gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable],
    linear: Sequence[layers.LipschitzLayer]) -> list[tf.Tensor]:
  """Replaces the gradients of learned orders by those of the mean norm.

  The loss is 0.01 times the mean of `|W|_p->q` over the layers with learned
  orders among `linear`, for unnormalised kernels: orders move to where norms
  are small. `gradients` are those of an objective for `variables`.
  """
  linear = [layer for layer in linear if layer.learns_orders]
  raw = {id(order.raw): order.raw.value for layer in linear
         for order in (layer.domain, layer.codomain)}
  with tf.GradientTape() as tape:
    tape.watch(list(raw.values()))
    mean = tf.add_n([layer.norm() for layer in linear]) / len(linear)
    loss = _NORM_WEIGHT * mean
  found = tape.gradient(
      loss, raw, unconnected_gradients=tf.UnconnectedGradients.ZERO)
  return [found.get(id(variable), gradient) for variable, gradient in zip(
      variables, gradients, strict=True)]
