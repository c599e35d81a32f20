"""How well a flow inverts: residuals, convergence, reconstruction error."""

from collections.abc import Iterable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import progress


class InversionReport(NamedTuple):
  """Result of `check_inverse`.

  The numbers of solves are 0 for a flow whose inverse solves nothing.

  Attributes:
    reconstruction_error_max: largest `|inverse(forward(x)) - x|`, in the units
      of the pixels, [0, 1].
    residual_max: largest `|f(x) - y|` over blocks and examples, computed anew
      from the returned `x`.
    num_steps_max: most evaluations of `g` that a block needed.
    num_not_converged: number of (block, example) pairs that failed.
    num_examples: number of images.
  """

  reconstruction_error_max: float
  residual_max: float
  num_steps_max: int
  num_not_converged: int
  num_examples: int


class Convergence(NamedTuple):
  """How the `K` solves of an inverse went, in its order; `K` may be 0.

  Attributes:
    residual: `[B, K]`, largest `|f(x) - y|` of the solution `x` of a
      bijection `f`, computed anew.
    num_steps: int32 `[B, K]`, evaluations of `g`.
    converged: `[B, K]`, whether the solver met its tolerance.
  """

  residual: tf.Tensor
  num_steps: tf.Tensor
  converged: tf.Tensor


def convergence(inverted: layers.Inverted) -> Convergence:
  """Returns how the solves of an inverse went, without trusting the solver."""
  solutions = [solve.solution for solve in inverted.solves]

  def columns(values, dtype):
    return tf.stack(values, axis=1) if values else tf.zeros(
        [tf.shape(inverted.x)[0], 0], dtype)

  # bijection(x) runs its layers, not the function that was solved.
  residuals = [
      _largest_error(solve.bijection(solve.solution.x), solve.target)
      for solve in inverted.solves]
  return Convergence(
      columns(residuals, inverted.x.dtype),
      columns([s.num_steps for s in solutions], tf.int32),
      columns([s.converged for s in solutions], tf.bool))


def _largest_error(x, y):
  """Returns `max|x - y|` of every example, `[B]`."""
  return tf.reduce_max(tf.abs(x - y), axis=list(range(1, x.shape.rank)))


def check_inverse(
    model: models.Flow, split: datasets.ImageSplit, batch_size: int = 128,
    num_examples: int | None = None, seed: int = 0,
    strategy: tf.distribute.Strategy | None = None, verbose: int = 0,
) -> InversionReport:
  """Sends images to latents and back, and checks every block on the way.

  Nothing is raised for examples that do not converge; they are counted.

  Args:
    model: the flow.
    split: the images.
    batch_size: examples per batch.
    num_examples: use the first this many examples only.
    seed: of the dequantisation noise.
    strategy: see `likelihood.bits_per_dim`.
    verbose: 1 shows a progress bar.
  """
  batches = datasets.evaluation_batches(
      split, batch_size=batch_size, seed=seed, num_examples=num_examples)
  bar = progress.progress_bar(num_examples or split.num_examples, verbose)
  return check_inverse_of(
      model, (batch['image'] for batch in batches), strategy, bar)


def check_inverse_of(
    model: models.Flow, batches: Iterable[tf.Tensor],
    strategy: tf.distribute.Strategy | None = None,
    bar: keras.utils.Progbar | None = None) -> InversionReport:
  """Does what `check_inverse` does, for given images.

  Args:
    model: the flow.
    batches: float images `[B, ...]`.
    strategy: see `likelihood.bits_per_dim`.
    bar: a progress bar.
  """

  def check(images):
    images = tf.cast(images, tf.as_dtype(model.compute_dtype))
    inverted = model.solve_inverse(model(images))
    return _largest_error(inverted.x, images), convergence(inverted)

  results = []
  for result in batch_map.make_batch_map(check, strategy)(
      (images,) for images in batches):
    results.append(tf.nest.flatten(result))
    if bar is not None:
      bar.add(len(result[0]))
  reconstruction_errors, residuals, num_steps, converged = [
      np.concatenate(arrays) for arrays in zip(*results, strict=True)]
  return InversionReport(
      float(reconstruction_errors.max()), float(residuals.max(initial=0.0)),
      int(num_steps.max(initial=0)), int(np.sum(~converged)),
      len(reconstruction_errors))
