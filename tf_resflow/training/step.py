"""One optimisation step of a replica, without input or output."""

import math
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
    cross_entropy: mean of `-log p(y|x)` before the update, nats; None without
      a classifier.
    accuracy: share of the batch that was classified rightly, likewise.
  """

  bits_per_dim: tf.Tensor
  gradient_norm: tf.Tensor
  power_iteration_steps: tf.Tensor
  cross_entropy: tf.Tensor | None = None
  accuracy: tf.Tensor | None = None


class TrainStep:
  """Gradients of the loss, reduced, clipped and applied, in replica context.

  The loss is the mean bits/dim; that of a hybrid model is, in nats,
  `-nll_weight * log p(X) - log p(y|x)` (Chen et al., 2019, Section 5.4).

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
    nll_weight: of the density in the loss of a hybrid model, `lambda`.
  """

  def __init__(self, model, optimizer, ema=None, clip_norm=1.0,
               accumulation_steps=1, seed=0, jit_compile=False,
               nll_weight=1.0):
    self._model = model
    self._optimizer = optimizer
    self._ema = ema
    self._clip_norm = clip_norm
    self._accumulation_steps = accumulation_steps
    self._seed = seed
    self._nll_weight = nll_weight
    self._variables = model.trainable_variables
    self._compute = self.gradients
    if jit_compile:
      self._compute = tf.function(
          self.gradients, autograph=False, jit_compile=True)

  def gradients(self, images, step, labels=None):
    """Returns this replica's means and the gradients of its loss.

    Args:
      images: `[B, H, W, C]`, dequantised to [0, 1).
      step: integer scalar tensor.
      labels: int32 `[B]`, for hybrid models.

    Returns:
      A dict of scalars, `bits_per_dim` and for hybrid models `cross_entropy`
      and `accuracy`, and a list of tensors like the trainable variables.
    """
    step_seed = random.fold_in(random.as_seed(self._seed), step)
    num_parts = self._accumulation_steps
    if num_parts == 1:
      return self._part_gradients(
          images, labels, random.fold_in(step_seed, 0))

    def split(tensor):
      parts = tf.reshape(tensor, tf.concat(
          [[num_parts, -1], tf.shape(tensor)[1:]], axis=0))
      return tf.ensure_shape(parts, [num_parts, None, *tensor.shape[1:]])

    image_parts = split(images)
    label_parts = None if labels is None else split(labels)

    def body(i, values, total):
      part_values, part = self._part_gradients(
          image_parts[i], None if labels is None else label_parts[i],
          random.fold_in(step_seed, i))
      return i + 1, *tf.nest.map_structure(
          tf.add, (values, total), (part_values, part))

    dtype = images.dtype
    names = ['bits_per_dim']
    if self._is_hybrid:
      names += ['cross_entropy', 'accuracy']
    start = (tf.constant(0), {name: tf.zeros([], dtype) for name in names},
             [tf.zeros(v.shape, dtype) for v in self._variables])
    _, *sums = tf.while_loop(
        lambda i, *_: i < num_parts, body, start, parallel_iterations=1)
    return tuple(tf.nest.map_structure(lambda t: t / num_parts, sums))

  @property
  def _is_hybrid(self):
    return bool(self._model.classifier_layers)

  def _part_gradients(self, images, labels, seed):
    with tf.GradientTape() as tape:
      if self._is_hybrid:
        loss, values = self._hybrid_loss(images, labels, seed)
      else:
        loss = tf.reduce_mean(self._model.bits_per_dim(images, seed=seed))
        values = {'bits_per_dim': loss}
    return values, tape.gradient(
        loss, self._variables,
        unconnected_gradients=tf.UnconnectedGradients.ZERO)

  def _hybrid_loss(self, images, labels, seed):
    bits, logits = self._model.bits_per_dim_and_logits(images, seed=seed)
    cross_entropy = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    hits = tf.argmax(logits, axis=1, output_type=labels.dtype) == labels
    values = {
        'bits_per_dim': tf.reduce_mean(bits),
        'cross_entropy': cross_entropy,
        'accuracy': tf.reduce_mean(tf.cast(hits, images.dtype)),
    }
    nats = values['bits_per_dim'] * self._model.event_size * math.log(2.0)
    return self._nll_weight * nats + cross_entropy, values

  def reduced_gradients(self, images, step, labels=None):
    """Returns the global batch's means and gradients; see `gradients`."""
    values, gradients = self._compute(images, step, labels)
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
      values, gradients = context.all_reduce(
          tf.distribute.ReduceOp.MEAN, (values, list(gradients)))
    return values, list(gradients)

  def __call__(self, images, step, labels=None):
    """Updates model, optimizer and average; returns `StepMetrics`.

    Args:
      images: `[B, H, W, C]`, this replica's part of the batch.
      step: integer scalar tensor, 0 for the first update.
      labels: int32 `[B]`, for hybrid models.
    """
    values, gradients = self.reduced_gradients(images, step, labels)
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
    num_steps = tf.reduce_max(tf.stack(counts)) if counts else tf.constant(0)
    return StepMetrics(
        gradient_norm=norm, power_iteration_steps=num_steps, **values)
