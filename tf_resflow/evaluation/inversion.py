"""Inverses of a flow, with diagnostics of their convergence."""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.numerics import random


class InversionReport(NamedTuple):
  """Result of `check_inverse`; fields about solves are 0 if there are none.

  Attributes:
    reconstruction_error_max: largest `|inverse(forward(x)) - x|`, of images in
      the units of the pixels, [0, 1], of vectors in standard deviations of each
      column (`VectorFlow.standardised`), or in their units if the flow has
      none; of the data, where an augmentation adds noise.
    inverse_residual_max: largest `|f(x) - y|` over blocks and examples,
      computed anew from the returned `x`.
    inverse_num_steps_max: most evaluations of `g` that a block needed.
    inverse_num_not_converged: number of (block, example) pairs that failed.
    num_reconstructions: number of examples.
  """

  reconstruction_error_max: float
  inverse_residual_max: float
  inverse_num_steps_max: int
  inverse_num_not_converged: int
  num_reconstructions: int


def convergence(
    inverted: layers.PassResult) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Returns how the solves of an inverse converged, with computed residuals.

  Args:
    inverted: of `K` solves; `K` may be 0.

  Returns:
    residual: `[B, K]`, largest `|f(x) - y|` of the solution `x` of a
      bijection `f`, computed anew.
    num_steps: int32 `[B, K]`, evaluations of `g`.
    converged: `[B, K]`, whether the solver met its tolerance.
  """
  def columns(values, dtype):
    return tf.stack(values, axis=1) if values else tf.zeros(
        [tf.shape(inverted.value)[0], 0], dtype)

  return (
      columns([_largest(s.residual()) for s in inverted.solves],
              inverted.value.dtype),
      columns([s.solution.num_steps for s in inverted.solves], tf.int32),
      columns([s.solution.converged for s in inverted.solves], tf.bool))


def _largest(x):
  """Returns `max|x|` of every example, `[B]`."""
  return tf.reduce_max(tf.abs(x), axis=list(range(1, x.shape.rank)))


def check_inverse(
    model: models.Flow, split: datasets.Split, batch_size: int = 128,
    num_examples: int | None = None, seed: int = 0,
    strategy: tf.distribute.Strategy | None = None, verbose: int = 0,
) -> InversionReport:
  """Maps data to latents and back, and checks the inverse of every block.

  Nothing is raised for examples that do not converge; they are counted.

  Args:
    model: the flow.
    split: images or vectors.
    seed: of the noise of dequantisation and augmentation.
    batch_size, num_examples, strategy, verbose: see `likelihood.nll`.
  """
  frozen = batch_map.frozen(model, strategy)

  def check(images, batch_seed, *condition):
    images = tf.cast(images, tf.as_dtype(model.compute_dtype))
    # Latents come from the layers, not from the functions that are solved.
    inverted = frozen.solve_inverse(model.encode(
        images, *condition, seed=random.whole_batch(batch_seed)), *condition)
    standardised = model.standardised(images)
    difference = tf.where(  # Values that a column cannot take are not inverted.
        tf.math.is_nan(standardised), tf.zeros_like(standardised),
        model.standardised(inverted.value) - standardised)
    return _largest(difference), *convergence(inverted)

  batches = map(batch_map.inputs_of, datasets.evaluation_batches(
      split, batch_size=batch_size, seed=seed, num_examples=num_examples))
  results = batch_map.BatchMap(check, strategy, shared=[1])(
      ((images, random.fold_in(seed, i).values, *condition)
       for i, (images, *condition) in enumerate(batches)),
      batch_map.progress_bar(
          num_examples or split.num_examples, verbose, 'Inverting.'))
  reconstruction_errors, residuals, num_steps, converged = map(
      np.concatenate, zip(*results, strict=True))
  return InversionReport(
      float(reconstruction_errors.max()), float(residuals.max(initial=0.0)),
      int(num_steps.max(initial=0)), int(np.sum(~converged)),
      len(reconstruction_errors))


class NotConvergedError(errors.ExpectedError):
  """The inverse of some examples was not found."""


class Decoded(NamedTuple):
  """Decoded events, with diagnostics of their `K` solves; `K` may be 0.

  Attributes:
    z: `[N, D]`, the latents.
    x: `[N, ...]`, the events.
    residual: `[N, K]`, see `convergence`.
    num_steps: `[N, K]`, see `convergence`.
  """

  z: np.ndarray
  x: np.ndarray
  residual: np.ndarray
  num_steps: np.ndarray

  def report(self) -> dict[str, Any]:
    """Returns the diagnostics of the inverse, a dict for JSON."""
    return {
        'inverse_residual_max': float(self.residual.max(initial=0.0)),
        'inverse_num_steps_max': int(self.num_steps.max(initial=0)),
        'inverse_num_steps_mean': (
            float(self.num_steps.mean()) if self.num_steps.size else 0.0)}


def decode_batches(
    model: models.Flow, latents: Iterable[Any],
    solver: layers.SolverLike = None,
    strategy: tf.distribute.Strategy | None = None,
    bar: keras.utils.Progbar | None = None) -> Iterator[Decoded]:
  """Maps batches of latents to events.

  Args:
    model: the flow.
    latents: batches `[B, D]`, with conditions `(z, condition)`.
    solver: a solver to use in place of the blocks' own.
    strategy: see `likelihood.nll`.
    bar: a progress bar.

  Yields:
    A `Decoded` for every batch.

  Raises:
    NotConvergedError: at the first batch in which an example failed.
  """
  solves: list[tuple[str, Any]] = []
  frozen = batch_map.frozen(model, strategy)

  def decode(z, *condition):
    z = tf.cast(z, tf.as_dtype(model.compute_dtype))
    inverted = frozen.solve_inverse(z, *condition, solver=solver)
    # Known when this is traced: the solves, not their results.
    solves[:] = [(s.bijection.name, s.solver) for s in inverted.solves]
    return z, inverted.value, *convergence(inverted)

  first = 0
  for z, x, residual, num_steps, converged in batch_map.BatchMap(
      decode, strategy)(map(batch_map.inputs_of, latents), bar):
    _check_converged(residual, num_steps, converged, solves, first)
    first += len(z)
    yield Decoded(z, x, residual, num_steps)


def decode(
    model: models.Flow, latents: np.ndarray | tf.Tensor,
    solver: layers.SolverLike = None,
    strategy: tf.distribute.Strategy | None = None, batch_size: int = 64,
    verbose: int = 0, condition: Any = None) -> Decoded:
  """Maps latents to events, see `decode_batches`.

  Args:
    model: the flow.
    latents: `[N, D]`.
    solver: a solver to use in place of the blocks' own.
    strategy, batch_size, verbose: see `likelihood.nll`.
    condition: of a flow `p(x|c)`, `[N, ...]`, or a single one for all.

  Raises:
    NotConvergedError: if an example failed.
  """
  return join(decode_batches(
      model, batch_map.slices(model, latents, condition, batch_size), solver,
      strategy, batch_map.progress_bar(len(latents), verbose)))


def join(parts: Iterable[Decoded]) -> Decoded:
  """Returns the results of several batches as one."""
  return Decoded(*map(np.concatenate, zip(*parts, strict=True)))


def _check_converged(residual, num_steps, converged, solves, first):
  """Raises an error unless all converged; `solves` describes the columns."""
  failures = np.argwhere(~converged)
  if failures.size:
    number, column = failures[0]
    name, solver = solves[column]
    raise NotConvergedError(
        f'{len(np.unique(failures[:, 0]))} of {len(converged)} '
        'examples in a batch did not converge, the first of them number '
        f'{first + number} in {name}: residual '
        f'{residual[number, column]:.3g} after '
        f'{num_steps[number, column]} of at most '
        f'{solver.max_steps} steps. A larger tolerance, more steps (max_steps) '
        'or float64 (dtype) may help.')
