"""How well a flow inverts: residuals, convergence, reconstruction error."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow import datasets


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


def check_inverse(model, split, batch_size=128, num_examples=None, seed=0):
  """Sends images to latents and back, and checks every block on the way.

  Args:
    model: a `models.Flow`.
    split: a `datasets.ImageSplit`.
    batch_size: examples per batch.
    num_examples: use the first this many examples only.
    seed: of the dequantisation noise.

  Returns:
    An `InversionReport`.
  """
  batches = datasets.evaluation_batches(
      split, batch_size=batch_size, seed=seed, num_examples=num_examples)
  return check_inverse_of(model, (batch['image'] for batch in batches))


def check_inverse_of(model, batches):
  """The same for given images.

  Args:
    model: a `models.Flow`.
    batches: iterable of float images `[B, ...]`.

  Returns:
    An `InversionReport`.
  """

  @tf.function(autograph=False, reduce_retracing=True)
  def check(images):
    images = tf.cast(images, tf.as_dtype(model.compute_dtype))
    z, _ = model.forward_and_log_det(images, seed=0)
    solved = []
    restored = model.inverse(
        tf.identity(z), on_block=lambda *args: solved.append(args))
    # block(x) runs the Keras layers, not the function that was solved.
    residuals = [
        tf.reduce_max(tf.abs(block(solution.x) - y))
        for block, y, solution in solved
    ]
    return (
        tf.reduce_max(tf.abs(restored - images)),
        tf.reduce_max(tf.stack(residuals)),
        tf.reduce_max(tf.stack(
            [tf.reduce_max(s.num_steps) for _, _, s in solved])),
        tf.add_n([
            tf.math.count_nonzero(~s.converged, dtype=tf.int32)
            for _, _, s in solved]))

  rows, count = [], 0
  for images in batches:
    rows.append([v.numpy() for v in check(images)])
    count += int(images.shape[0])
  errors, residuals, steps, failures = np.asarray(rows, np.float64).T
  return InversionReport(
      float(errors.max()), float(residuals.max()), int(steps.max()),
      int(failures.sum()), count)
