"""Images from latents, and what the inverse did for them."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import inversion


class NotConvergedError(errors.ExpectedError):
  """The inverse of some examples was not found."""


class Decoded(NamedTuple):
  """Events and how they were found, by `K` solves each; `K` may be 0.

  Attributes:
    z: `[N, D]`, the latents.
    x: `[N, ...]`, the events.
    residual: `[N, K]`, see `inversion.Convergence`.
    num_steps: `[N, K]`, see `inversion.Convergence`.
  """

  z: np.ndarray
  x: np.ndarray
  residual: np.ndarray
  num_steps: np.ndarray

  def report(self) -> dict[str, Any]:
    """Returns what a tool says of the inverse, a dict for JSON."""
    is_empty = self.num_steps.size == 0
    return {
        'inverse_residual_max': float(self.residual.max(initial=0.0)),
        'inverse_num_steps_max': int(self.num_steps.max(initial=0)),
        'inverse_num_steps_mean': (
            0.0 if is_empty else float(self.num_steps.mean())),
    }


def decode_batches(
    model: models.Flow, latents: Iterable[tf.Tensor],
    solver: numerics.Solver | None = None,
    strategy: tf.distribute.Strategy | None = None) -> Iterator[Decoded]:
  """Sends batches of latents to events.

  Args:
    model: the flow.
    latents: batches `[B, D]`.
    solver: a solver to use in place of the blocks' own.
    strategy: see `likelihood.bits_per_dim`.

  Yields:
    A `Decoded` for every batch.

  Raises:
    NotConvergedError: at the first batch in which an example failed.
  """
  solves = []

  def decode(z):
    z = tf.cast(z, tf.as_dtype(model.compute_dtype))
    inverted = model.solve_inverse(z, solver=solver)
    # Known when this is traced: which solves there are, not what they found.
    solves[:] = [(s.bijection.name, s.solver) for s in inverted.solves]
    return z, inverted.x, inversion.convergence(inverted)

  first = 0
  for z, x, convergence in batch_map.make_batch_map(decode, strategy)(
      (z,) for z in latents):
    _check_converged(convergence, solves, first)
    first += len(z)
    yield Decoded(z, x, convergence.residual, convergence.num_steps)


def decode(
    model: models.Flow, latents: np.ndarray | tf.Tensor,
    solver: numerics.Solver | None = None,
    strategy: tf.distribute.Strategy | None = None, batch_size: int = 64,
    bar: keras.utils.Progbar | None = None) -> Decoded:
  """Sends latents to events, see `decode_batches`.

  Args:
    model: the flow.
    latents: `[N, D]`.
    solver: a solver to use in place of the blocks' own.
    strategy: see `likelihood.bits_per_dim`.
    batch_size: examples per batch.
    bar: a progress bar.

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


def join(parts: Sequence[Decoded]) -> Decoded:
  """Returns the results of several batches as one."""
  return Decoded(*(
      np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _check_converged(convergence, solves, first):
  """Raises `NotConvergedError` unless every example converged.

  Args:
    convergence: an `inversion.Convergence` of NumPy arrays.
    solves: of every column, the name of its bijection and its solver.
    first: number of the first example.
  """
  failed = ~convergence.converged.all(axis=1)
  if not failed.any():
    return
  number = int(np.argmax(failed))
  column = int(np.argmin(convergence.converged[number]))
  name, solver = solves[column]
  raise NotConvergedError(
      f'{np.sum(failed)} of {len(failed)} examples in a batch did not '
      f'converge, the first of them number {first + number} in {name}: '
      f'residual {convergence.residual[number, column]:.3g} after '
      f'{convergence.num_steps[number, column]} of at most {solver.max_steps} '
      'steps. A larger tolerance, more steps (max_steps) or float64 (dtype) '
      'may help.')
