"""Images from latents, and what the inverse did for them."""

import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import inversion
from tf_resflow.numerics import random


class NotConvergedError(RuntimeError):
  """The inverse of some examples was not found."""


class Decoded(NamedTuple):
  """Events and how they were found, NumPy arrays.

  Attributes:
    z: `[N, D]`, the latents.
    x: `[N, ...]`, the events.
    residual: `[N, K]`, see `inversion.Inverted`.
    num_steps: `[N, K]`, see `inversion.Inverted`.
  """

  z: np.ndarray
  x: np.ndarray
  residual: np.ndarray
  num_steps: np.ndarray

  def report(self):
    """Returns what a tool says of the inverse, a dict for JSON."""
    return {
        'inverse_residual_max': float(self.residual.max()),
        'inverse_num_steps_max': int(self.num_steps.max()),
        'inverse_num_steps_mean': float(self.num_steps.mean()),
    }


def draw_latents(model, num_samples, seed=0, start=0):
  """Draws standard normal latents, each from the seed and its own number.

  So sample `i` is the same however many are drawn, in batches of any size.

  Args:
    model: a `models.Flow`.
    num_samples: `N`.
    seed: Python int.
    start: number of the first one.

  Returns:
    `[N, D]`, in the dtype of the model.
  """
  return _draw(
      tf.range(start, start + num_samples), random.as_seed(seed),
      model.event_size, tf.as_dtype(model.compute_dtype))


@functools.partial(tf.function, autograph=False, reduce_retracing=True)
def _draw(numbers, seed, size, dtype):
  return tf.map_fn(
      lambda i: random.normal([size], random.fold_in(seed, i), dtype),
      numbers, fn_output_signature=tf.TensorSpec([size], dtype))


def decode_batches(model, latents, solver=None, strategy=None):
  """Sends batches of latents to events.

  Args:
    model: a `models.Flow`.
    latents: iterable of `[B, D]`.
    solver: a solver to use in place of the blocks' own.
    strategy: see `likelihood.bits_per_dim`.

  Yields:
    A `Decoded` for every batch.

  Raises:
    NotConvergedError: at the first batch in which an example failed.
  """

  def decode(z):
    z = tf.cast(z, tf.as_dtype(model.compute_dtype))
    return z, inversion.invert(model, z, solver)

  first = 0
  for z, inverted in batch_map.make_batch_map(decode, strategy)(
      (z,) for z in latents):
    _check_converged(model, inverted, first, solver)
    first += len(z)
    yield Decoded(z, inverted.x, inverted.residual, inverted.num_steps)


def decode(model, latents, solver=None, strategy=None, batch_size=64, bar=None):
  """Sends latents to events, see `decode_batches`.

  Args:
    model: a `models.Flow`.
    latents: `[N, D]`.
    solver: a solver to use in place of the blocks' own.
    strategy: see `likelihood.bits_per_dim`.
    batch_size: examples per batch.
    bar: a progress bar, or None.

  Returns:
    A `Decoded` of all.

  Raises:
    NotConvergedError: if an example failed.
  """
  parts = []
  for part in decode_batches(
      model, (latents[i:i + batch_size]
              for i in range(0, len(latents), batch_size)), solver, strategy):
    parts.append(part)
    if bar is not None:
      bar.add(len(part.z))
  return join(parts)


def join(parts):
  """Returns a list of `Decoded` as one."""
  return Decoded(*(
      np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _check_converged(model, inverted, first, solver):
  """Raises `NotConvergedError` unless every example converged."""
  failed = ~inverted.converged.all(axis=1)
  if not failed.any():
    return
  # In the order of inversion, that is from the last block to the first.
  names = [block.name for block in reversed(model.residual_blocks)]
  number = int(np.argmax(failed))
  block = int(np.argmin(inverted.converged[number]))
  max_steps = (solver or model.residual_blocks[0].solver).max_steps
  raise NotConvergedError(
      f'{np.sum(failed)} of {len(failed)} examples in a batch did not '
      f'converge, the first of them number {first + number} in {names[block]}: '
      f'residual {inverted.residual[number, block]:.3g} after '
      f'{inverted.num_steps[number, block]} of at most {max_steps} steps. A '
      'larger tolerance, more steps (max_steps) or float64 (dtype) may help.')
