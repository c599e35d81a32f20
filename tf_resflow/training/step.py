"""One optimisation step of a replica, without input or output."""

from typing import NamedTuple

import tensorflow as tf

from tf_resflow.numerics import random


class StepMetrics(NamedTuple):
  """What one step reports, of the global batch.

  Attributes:
    bits_per_dim: unbiased estimate of the mean bits/dim before the update.
    gradient_norm: global norm of the gradient before clipping.
    power_iteration_steps: largest number of steps that a layer needed to
      follow its new kernel.
  """

  bits_per_dim: tf.Tensor
  gradient_norm: tf.Tensor
  power_iteration_steps: tf.Tensor


class TrainStep:
  """Gradients of bits/dim, reduced, clipped and applied, in replica context.

  Replicas that see parts of a global batch compute what one replica would on
  the whole: the number of series terms depends on (seed, step, block) alone,
  the probes on these and the place in the global batch, and gradients are
  averaged before they are clipped.

  Args:
    model: a `models.Flow`.
    optimizer: a Keras optimizer without clipping of its own.
    ema: an `ExponentialMovingAverage` of the model, or None.
    clip_norm: global norm at which gradients are clipped; None does not clip.
    accumulation_steps: number of equal parts that a batch is processed in;
      with several replicas, part `i` of the global batch is the union of the
      replicas' parts `i`.
    seed: Python int.
    jit_compile: compile the gradient computation with XLA.
  """

  def __init__(self, model, optimizer, ema=None, clip_norm=1.0,
               accumulation_steps=1, seed=0, jit_compile=False):
    self._model = model
    self._optimizer = optimizer
    self._ema = ema
    self._clip_norm = clip_norm
    self._accumulation_steps = accumulation_steps
    self._seed = seed
    self._variables = model.trainable_variables
    self._compute = self.gradients
    if jit_compile:
      self._compute = tf.function(
          self.gradients, autograph=False, jit_compile=True)

  def gradients(self, images, step):
    """Returns this replica's mean bits/dim and its gradients.

    Args:
      images: `[B, H, W, C]`, dequantised to [0, 1).
      step: integer scalar tensor.

    Returns:
      A scalar and a list of tensors like the trainable variables.
    """
    step_seed = random.fold_in(random.as_seed(self._seed), step)
    num_parts = self._accumulation_steps
    if num_parts == 1:
      return self._part_gradients(images, random.fold_in(step_seed, 0))
    parts = tf.reshape(images, tf.concat(
        [[num_parts, -1], tf.shape(images)[1:]], axis=0))
    parts = tf.ensure_shape(parts, [num_parts, None, *images.shape[1:]])

    def body(i, bits, total):
      part_bits, part = self._part_gradients(
          parts[i], random.fold_in(step_seed, i))
      return i + 1, bits + part_bits, [
          t + p for t, p in zip(total, part, strict=True)
      ]

    dtype = images.dtype
    start = (tf.constant(0), tf.zeros([], dtype),
             [tf.zeros(v.shape, dtype) for v in self._variables])
    _, bits, total = tf.while_loop(
        lambda i, *_: i < num_parts, body, start, parallel_iterations=1)
    return bits / num_parts, [t / num_parts for t in total]

  def _part_gradients(self, images, seed):
    with tf.GradientTape() as tape:
      bits = tf.reduce_mean(self._model.bits_per_dim(images, seed=seed))
    return bits, tape.gradient(
        bits, self._variables,
        unconnected_gradients=tf.UnconnectedGradients.ZERO)

  def reduced_gradients(self, images, step):
    """Returns the global batch's mean bits/dim and its gradients."""
    bits, gradients = self._compute(images, step)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
      bits, *gradients = context.all_reduce(
          tf.distribute.ReduceOp.MEAN, [bits, *gradients])
    return bits, list(gradients)

  def __call__(self, images, step):
    """Updates model, optimizer and average; returns `StepMetrics`.

    Args:
      images: `[B, H, W, C]`, this replica's part of the batch.
      step: integer scalar tensor, 0 for the first update.
    """
    bits, gradients = self.reduced_gradients(images, step)
    norm = tf.linalg.global_norm(gradients)
    if self._clip_norm is not None:
      gradients, _ = tf.clip_by_global_norm(
          gradients, self._clip_norm, use_norm=norm)
    context = tf.distribute.get_replica_context()
    num_replicas = 1 if context is None else context.num_replicas_in_sync
    if num_replicas > 1:
      # In replica context a Keras optimizer sums what the replicas hand it,
      # and each of them hands it the gradient of the global batch.
      gradients = [g / num_replicas for g in gradients]
    self._optimizer.apply(gradients, self._variables)
    if self._ema is not None:
      self._ema.update(step)
    counts = [
        layer.save_singular_vectors().num_steps
        for layer in self._model.spectral_layers
    ]
    return StepMetrics(
        bits, norm, tf.reduce_max(tf.stack(counts)) if counts else
        tf.constant(0))
