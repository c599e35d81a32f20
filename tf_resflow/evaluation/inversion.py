"""How well a flow inverts: residuals, convergence, reconstruction error."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import progress


class InversionReport(NamedTuple):
  """Result of `check_inverse`.

  Attributes:
    reconstruction_error_max: largest `|inverse(forward(x)) - x|`, in the units
      of the pixels, [0, 1].
    residual_max: largest `|x + g(x) - y|` over blocks and examples, computed
      anew from the returned `x`.
    num_steps_max: most evaluations of `g` that a block needed.
    num_not_converged: number of (block, example) pairs that failed.
    num_examples: number of images.
  """

  reconstruction_error_max: float
  residual_max: float
  num_steps_max: int
  num_not_converged: int
  num_examples: int


class Inverted(NamedTuple):
  """Result of `invert`.

  Attributes:
    x: `[B, ...]`, the events.
    residual: `[B, K]` for `K` residual blocks in the order of inversion,
      largest `|x + g(x) - y|` of the block's solution `x`, computed anew.
    num_steps: `[B, K]`, evaluations of `g`.
    converged: `[B, K]`, whether the solver met its tolerance.
  """

  x: tf.Tensor
  residual: tf.Tensor
  num_steps: tf.Tensor
  converged: tf.Tensor


def invert(model, z, solver=None):
  """Sends latents to events and keeps what happened in every block.

  Args:
    model: a `models.Flow`.
    z: `[B, D]`.
    solver: a solver to use in place of the blocks' own.

  Returns:
    An `Inverted`; nothing is raised for examples that did not converge.
  """
  solved = []
  x = model.inverse(
      z, solver=solver, on_block=lambda *args: solved.append(args))

  def residual(block, y, solution):
    # block(x) runs the Keras layers, not the function that was solved.
    error = tf.abs(block(solution.x) - y)
    return tf.reduce_max(error, axis=list(range(1, error.shape.rank)))

  return Inverted(
      x, tf.stack([residual(*args) for args in solved], axis=1),
      tf.stack([solution.num_steps for _, _, solution in solved], axis=1),
      tf.stack([solution.converged for _, _, solution in solved], axis=1))


def check_inverse(model, split, batch_size=128, num_examples=None, seed=0,
                  strategy=None, verbose=0):
  """Sends images to latents and back, and checks every block on the way.

  Args:
    model: a `models.Flow`.
    split: a `datasets.ImageSplit`.
    batch_size: examples per batch.
    num_examples: use the first this many examples only.
    seed: of the dequantisation noise.
    strategy: see `likelihood.bits_per_dim`.
    verbose: 1 shows a progress bar.

  Returns:
    An `InversionReport`.
  """
  batches = datasets.evaluation_batches(
      split, batch_size=batch_size, seed=seed, num_examples=num_examples)
  bar = progress.progress_bar(num_examples or split.num_examples, verbose)
  return check_inverse_of(
      model, (batch['image'] for batch in batches), strategy, bar)


def check_inverse_of(model, batches, strategy=None, bar=None):
  """The same for given images.

  Args:
    model: a `models.Flow`.
    batches: iterable of float images `[B, ...]`.
    strategy: see `likelihood.bits_per_dim`.
    bar: a progress bar, or None.

  Returns:
    An `InversionReport`.
  """

  def check(images):
    images = tf.cast(images, tf.as_dtype(model.compute_dtype))
    inverted = invert(model, tf.identity(model(images)))
    error = tf.abs(inverted.x - images)
    error = tf.reduce_max(error, axis=list(range(1, error.shape.rank)))
    return error, inverted.residual, inverted.num_steps, inverted.converged

  results = []
  for result in batch_map.make_batch_map(check, strategy)(
      (images,) for images in batches):
    results.append(result)
    if bar is not None:
      bar.add(len(result[0]))
  errors, residuals, num_steps, converged = [
      np.concatenate(arrays) for arrays in zip(*results, strict=True)]
  return InversionReport(
      float(errors.max()), float(residuals.max()), int(num_steps.max()),
      int(np.sum(~converged)), len(errors))
