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
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.numerics import random


def convergence(
    inverted: layers.PassResult) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Returns how the `K` solves of an inverse converged, `[B, K]` each.

  These are the largest `|f(x) - y|` of the solution `x` of a bijection `f`,
  computed here; the number of evaluations of `g`; and 1 where a solver did not
  meet its tolerance.
  """
  def columns(values, dtype):
    return tf.stack(values, axis=1) if values else tf.zeros(
        [tf.shape(inverted.value)[0], 0], dtype)

  return (
      columns([_largest(s.residual()) for s in inverted.solves],
              inverted.value.dtype),
      columns([s.solution.num_steps for s in inverted.solves], tf.int32),
      columns([tf.cast(~s.solution.converged, tf.int32)
               for s in inverted.solves], tf.int32))


def _largest(x):
  """Returns `max|x|` of every example, `[B]`."""
  return tf.reduce_max(tf.abs(x), axis=list(range(1, x.shape.rank)))


def check_inverse(
    model: models.Flow, split: datasets.Split, *,
    num_examples: int | None = None, **settings: Any) -> dict[str, Any]:
  """Maps data to latents and back, and checks the inverse of every block.

  Nothing is raised for examples that do not converge; they are counted.

  Args:
    num_examples: see `likelihood.nll`.
    **settings: see `EvaluationSettings`; the seed is that of the noise of
      dequantisation and augmentation.

  Returns:
    A dict for JSON, whose numbers about solves are 0 if there are none:

    - `reconstruction_error_max`, largest `|inverse(forward(x)) - x|`, of images
      in the units of the pixels, [0, 1], of vectors in standard deviations of
      each column (`VectorFlow.standardize`), or in their units if the flow has
      none; of the data `project(augment(x).y)` with an augmentation;
    - `inverse_residual_max`, largest `|f(x) - y|` over blocks and examples,
      computed anew from the returned `x`;
    - `inverse_num_steps_max`, most evaluations of `g` that a block needed;
    - `inverse_num_not_converged`, number of (block, example) pairs that failed;
    - `num_reconstructions`, number of examples.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings)
  frozen = batch_map.frozen(model, used.strategy)

  def check(images, batch_seed, *condition):
    images = tf.cast(images, model.input_dtype)
    seed = random.per_replica(batch_seed)
    # Latents come from the layers, not from the functions that are solved.
    inverted = frozen.solve_inverse(
        model.encode(images, *condition, seed=seed), *condition)
    # An augmentation may have replaced the noise of dequantisation.
    expected = model.standardize(model.augmentation.project(
        model.augment(images, *condition, seed=seed).y))
    difference = tf.where(  # Values that a column cannot take are not inverted.
        tf.math.is_nan(expected), tf.zeros_like(expected),
        model.standardize(inverted.value) - expected)
    return _largest(difference), *convergence(inverted)

  batches = map(batch_map.inputs_of, used.batches(split, num_examples))
  results = batch_map.BatchMap(check, used.strategy, shared=[1])(
      ((images, random.fold_in(used.seed, i).values, *condition)
       for i, (images, *condition) in enumerate(batches)),
      batch_map.progress_bar(
          num_examples or split.num_examples, used.verbose, 'Inverting.'))
  reconstruction_errors, residuals, num_steps, failed = map(
      np.concatenate, zip(*results, strict=True))
  return {
      'reconstruction_error_max': float(reconstruction_errors.max()),
      'inverse_residual_max': float(residuals.max(initial=0.0)),
      'inverse_num_steps_max': int(num_steps.max(initial=0)),
      'inverse_num_not_converged': int(failed.sum()),
      'num_reconstructions': len(reconstruction_errors)}


class NotConvergedError(errors.ExpectedError):
  """The inverse of some examples was not found."""


class Decoded(NamedTuple):
  """Latents `z` `[N, D]`, and events `x`, with the `convergence` of solves."""

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
  """Maps batches of latents, `z` or `(z, condition)`, to events.

  Args:
    solver: in place of the blocks' own.
    strategy: see `EvaluationSettings`.

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
  for z, x, residual, num_steps, failed in batch_map.BatchMap(
      decode, strategy)(map(batch_map.inputs_of, latents), bar):
    if failed.any():
      number, column = np.argwhere(failed)[0]
      name, used = solves[column]
      raise NotConvergedError(
          f'{np.sum(failed.any(axis=1))} of {len(z)} examples in a batch did '
          f'not converge, the first of them number {first + number} in {name}: '
          f'residual {residual[number, column]:.3g} after '
          f'{num_steps[number, column]} of at most {used.max_steps} '
          'steps. A larger tolerance, more steps (max_steps) or float64 '
          '(dtype) may help.')
    first += len(z)
    yield Decoded(z, x, residual, num_steps)


def decode(
    model: models.Flow, latents: np.ndarray | tf.Tensor,
    solver: layers.SolverLike = None, *, condition: Any = None,
    **settings: Any) -> Decoded:
  """Maps latents `[N, D]` to events, see `decode_batches`.

  Args:
    condition: of a flow `p(x|c)`, `[N, ...]`, or a single one for all.
    **settings: see `EvaluationSettings`.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings)
  return join(decode_batches(
      model, batch_map.slices(model, latents, condition, used.batch_size),
      solver, used.strategy,
      batch_map.progress_bar(len(latents), used.verbose)))


def join(parts: Iterable[Decoded]) -> Decoded:
  """Returns the results of several batches as one."""
  return Decoded(*map(np.concatenate, zip(*parts, strict=True)))
