"""Log-likelihoods of given images, one by one."""

import numpy as np
import tensorflow as tf

from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import archives
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import progress
from tf_resflow.evaluation import statistics


def read_inputs(path, event_shape):
  """Reads dequantised images from an .npz file.

  Args:
    path: of a file with the array `x`, floats `[n, H, W, C]` in [0, 1].
    event_shape: `(H, W, C)` of the model that they are meant for.

  Returns:
    `x` as float64.

  Raises:
    OSError: if the file cannot be opened.
    ValueError: if it is no such file, or `x` does not suit the model.
  """
  arrays = archives.read_arrays(path, 'inputs', keys=('x',))
  x = arrays.get('x')
  expected = f'floats [n, {", ".join(map(str, event_shape))}] in [0, 1)'
  if x is None:
    raise ValueError(
        f'inputs is {path}, which has the arrays {", ".join(arrays) or "none"} '
        f'but no x; expected {expected}.')
  if not np.issubdtype(x.dtype, np.floating):
    raise ValueError(
        f'inputs is {path}: x has the dtype {x.dtype}; expected {expected}, '
        'dequantised as (X + U) / num_levels.')
  if x.ndim != 1 + len(event_shape) or len(x) == 0 or (
      x.shape[1:] != tuple(event_shape)):
    raise ValueError(
        f'inputs is {path}: x has the shape {x.shape}; expected {expected}.')
  if not (np.all(np.isfinite(x)) and x.min() >= 0 and x.max() <= 1):
    raise ValueError(
        f'inputs is {path}: x lies in [{x.min()}, {x.max()}]; expected '
        f'{expected}.')
  return x.astype(np.float64)


def fitting_batch_size(model: models.Flow, estimator: numerics.Estimator,
                       largest: int = 128) -> int:
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


def evaluate_inputs(model, x, *, batch_size=128, num_repeats=8, seed=0,
                    estimator=None, verbose=0, num_probes=1, strategy=None):
  """Evaluates the density at given images.

  Args:
    model: a `models.Flow` with `num_levels`.
    x: `[n, ...]` array in [0, 1).
    batch_size: images per batch.
    num_repeats: independent estimates of the log-determinant that are
      averaged; `numerics.Exact` needs one.
    seed: Python int; the result is a function of it.
    estimator: of the log-determinant, `default_estimator()` by default.
    verbose: 1 shows a progress bar.
    num_probes: see `likelihood.bits_per_dim`.
    strategy: see `likelihood.bits_per_dim`.

  Returns:
    A dict of float64 arrays: `z` `[n, D]` (in the order of the model),
    `log_det` `[n]` (`log|det dz/dx|`, nats), `log_prob` `[n]` (of the
    density of `x`, nats), `bits_per_dim` `[n]`, and `log_det_repeats`
    `[R, n]`, the estimates whose mean `log_det` is.

  References:
    Chen et al., 2019, Residual Flows, Equation 1.
  """
  if estimator is None:
    estimator = likelihood.default_estimator()
  if estimator.is_random and num_repeats < statistics.MIN_REPEATS:
    raise ValueError(
        f'num_repeats is {num_repeats}; {statistics.MIN_REPEATS} are the '
        'least from which the standard error of the estimator is taken.')
  num_repeats = num_repeats if estimator.is_random else 1
  likelihood.check_num_probes(num_probes, estimator)
  evaluate = batch_map.make_batch_map(
      lambda images, batch_seed: model.forward_and_log_det(
          images, seed=batch_seed, log_det=estimator), strategy)
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
