"""Log-likelihoods of given images, one by one."""

from collections.abc import Sequence
import os

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import archives
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import progress
from tf_resflow.numerics import random


def read_inputs(
    path: str | os.PathLike, event_shape: Sequence[int]) -> np.ndarray:
  """Reads dequantised images from an .npz file.

  Args:
    path: of a file with the array `x`, floats `[n, H, W, C]` in [0, 1].
    event_shape: `(H, W, C)` of the model that they are meant for.

  Returns:
    `x` as float64.

  Raises:
    InvalidValueError: if it is no such file, or `x` does not suit the model.
    OSError: if the file cannot be opened.
  """
  arrays = archives.read_arrays(path, 'inputs', keys=('x',))
  x = arrays.get('x')

  def check(condition, advice):
    errors.check(
        condition, 'inputs', path, 'an .npz file with an array x, floats '
        f'[n, {", ".join(map(str, event_shape))}] in [0, 1)', advice)

  check(x is not None, f'Its arrays are {", ".join(arrays) or "none"}.')
  check(np.issubdtype(x.dtype, np.floating), f'Its x has the dtype {x.dtype}: '
        'dequantise integers as (X + U) / num_levels.')
  check(x.ndim > 0 and len(x) > 0 and x.shape[1:] == tuple(event_shape),
        f'Its x has the shape {x.shape}.')
  check(np.all(np.isfinite(x)) and x.min() >= 0 and x.max() <= 1,
        f'Its x lies in [{x.min()}, {x.max()}].')
  return x.astype(np.float64)


def fitting_batch_size(
    model: models.Flow, estimator: numerics.Estimator, largest: int = 128,
) -> int:
  """Returns how many examples at a time suit an estimator.

  Args:
    model: a flow.
    estimator: of its log-determinants.
    largest: number where the estimator takes any.

  Raises:
    InvalidValueError: if the events are too large for it.
  """
  limit = estimator.max_batch_size(
      model.event_size, tf.as_dtype(model.compute_dtype))
  return largest if limit is None else min(largest, limit)


def evaluate_inputs(
    model: models.Flow, x: np.ndarray, *, batch_size: int = 128,
    num_repeats: int = 8, seed: int = 0,
    estimator: numerics.Estimator | None = None, verbose: int = 0,
    num_probes: int = 1, strategy: tf.distribute.Strategy | None = None,
) -> dict[str, np.ndarray]:
  """Evaluates the density at given images.

  Args:
    model: a flow on images of integers.
    x: `[n, ...]` in [0, 1).
    batch_size: images per batch.
    num_repeats: independent estimates of the log-determinant that are
      averaged; an estimator that draws nothing is used once.
    seed: Python int; the result is a function of it.
    estimator: of the log-determinant, `default_estimator()` by default.
    verbose: 1 shows a progress bar.
    num_probes: see `likelihood.bits_per_dim`.
    strategy: see `likelihood.bits_per_dim`.

  Returns:
    Float64 arrays: `z` `[n, D]` (in the order of the model), `log_det` `[n]`
    (`log|det dz/dx|`, nats), `log_prob` `[n]` (of the density of `x`, nats),
    `bits_per_dim` `[n]`, and `log_det_repeats` `[R, n]`, the estimates whose
    mean `log_det` is.

  References:
    Chen et al., 2019, Residual Flows, Equation 1.
  """
  estimator = estimator or likelihood.default_estimator()
  if estimator.is_random:
    likelihood.check_num_repeats(num_repeats)
  else:
    num_repeats = 1
  likelihood.check_num_probes(num_probes, estimator)
  evaluate = batch_map.make_batch_map(
      lambda images, batch_seed: model.forward_and_log_det(
          images, seed=random.whole_batch(batch_seed), estimator=estimator),
      strategy)
  batches = [
      tf.constant(x[start:start + batch_size], tf.as_dtype(model.compute_dtype))
      for start in range(0, len(x), batch_size)]
  bar = progress.progress_bar(num_repeats * num_probes * len(x), verbose)
  latents, log_dets = [], []
  for repeat in range(num_repeats):
    values = []
    for z, log_det in evaluate(likelihood.seeded_batches(
        batches, seed, repeat, num_probes)):
      if repeat == 0 and len(values) % num_probes == 0:
        latents.append(z)
      values.append(log_det)
      bar.add(len(log_det))
    log_dets.append(likelihood.average_probes(values, num_probes))
  z = np.concatenate(latents).astype(np.float64)
  log_dets = np.asarray(log_dets)
  log_det = log_dets.mean(axis=0)
  log_prob = model.base_log_prob(z).numpy() + log_det
  return {'z': z, 'log_det': log_det, 'log_prob': log_prob,
          'bits_per_dim': model.bits_per_dim_of(log_prob),
          'log_det_repeats': log_dets}
