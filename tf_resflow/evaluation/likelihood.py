"""Log-likelihoods under a flow: of a data set, and of given images."""

from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import classification
from tf_resflow.evaluation import statistics
from tf_resflow.numerics import random

# How many examples are taken at a time; of vectors more, while they are short.
_NUM_EXAMPLES = 128
_MAX_VECTORS = 10_000
_MAX_NUMBERS = 80_000


def fitting_batch_size(
    model: models.Flow, estimator: layers.EstimatorLike = None,
    largest: int | None = None) -> int:
  """Returns how many examples at a time suit a model and an estimator.

  Args:
    model: a flow.
    estimator: of its log-determinants; None where none are taken.
    largest: number where the estimator takes any, or has nothing to do. By
      default 128, and up to 10,000 vectors if they are short: a batch of these
      costs what launching its operations does.

  Raises:
    InvalidValueError: if the events are too large for it.
  """
  if largest is None:
    largest = _NUM_EXAMPLES if len(model.event_shape) > 1 else max(
        _NUM_EXAMPLES, min(_MAX_VECTORS, _MAX_NUMBERS // model.latent_size))
  estimator = numerics.Estimator.get(estimator)
  limit = estimator.max_batch_size(
      model.latent_size, tf.as_dtype(model.compute_dtype)
  ) if estimator is not None and model.is_random else None
  return largest if limit is None else min(largest, limit)


class NegativeLogLikelihood:
  """The bits/dim or nats of examples under a flow; one graph for all calls.

  Args:
    model: a flow.
    estimator: of the log-determinant, or its spec;
      `Flow.evaluation_estimator` by default.
    strategy: in whose scope the model was made; its devices share the batches,
      and the result does not depend on their number.
    own_estimator: take the estimators of the model's blocks, those that it was
      trained with, in place of `estimator`; the noise is the same.

  Attributes:
    is_random: whether repeats differ.
  """

  def __init__(
      self, model: models.Flow, estimator: layers.EstimatorLike = None,
      strategy: tf.distribute.Strategy | None = None,
      own_estimator: bool = False):
    self._estimator = numerics.Estimator.get(
        estimator) or model.evaluation_estimator
    self._batch_size = fitting_batch_size(model, self._estimator)
    # Integers are dequantised with noise.
    self.is_random = (
        model.num_levels is not None or own_estimator
        or model.draws(self._estimator))
    used = 'own' if own_estimator else self._estimator
    self._evaluate = batch_map.BatchMap(
        lambda x, batch_seed, *condition: model.in_unit(model.log_prob(
            x, *condition, seed=random.whole_batch(batch_seed),
            estimator=used)), strategy, shared=[1])

  def __call__(
      self, split: datasets.Split, batch_size: int | None = None,
      num_repeats: int = 8,
      seed: int = 0, num_examples: int | None = None, verbose: int = 0,
      num_probes: int = 1) -> np.ndarray:
    """Estimates those of a split, several times.

    Each repeat draws dequantisation noise, probes and numbers of terms anew,
    and what the model's embedding draws: with noise channels the mean over
    repeats is an upper bound of bits/dim in expectation, see `models.Flow`.

    Args:
      split: the data.
      batch_size: examples per batch, each on one device;
        `fitting_batch_size` by default.
      num_repeats: `R`, independent repeats, at least 8; where nothing is drawn,
        there is one.
      seed: Python int; the result is a function of it.
      num_examples: evaluate the first this many examples only.
      verbose: 1 shows a progress bar.
      num_probes: independent draws of the estimator (and of an embedding) per
        example and repeat, at the same noise, which are averaged.

    Returns:
      Float64 `[R, N]`, in `model.unit`; `statistics.summarize_repeats` has its
      mean and both standard errors.
    """
    _check_draws(self._estimator, num_repeats, num_probes, self.is_random)
    num_repeats = num_repeats if self.is_random else 1
    batch_size = batch_size or self._batch_size

    def batches_of(repeat):
      return map(batch_map.inputs_of, datasets.evaluation_batches(
          split, batch_size=batch_size, seed=seed * 1009 + repeat,
          num_examples=num_examples))

    values = self._evaluate(
        _seeded(batches_of, seed, num_repeats, num_probes),
        batch_map.progress_bar(
            num_repeats * num_probes * (num_examples or split.num_examples),
            verbose))
    return _average(list(values), num_repeats, num_probes)


def nll(
    model: models.Flow, split: datasets.Split, *,
    estimator: layers.EstimatorLike = None,
    strategy: tf.distribute.Strategy | None = None,
    own_estimator: bool = False, **kwargs: Any) -> np.ndarray:
  """Estimates the bits/dim or nats of every example of a split, several times.

  Args:
    model: a flow.
    split: the data.
    estimator: see `NegativeLogLikelihood`.
    strategy: see there.
    own_estimator: see there.
    **kwargs: of its call: `batch_size`, `num_repeats`, `seed`, `num_examples`,
      `verbose`, `num_probes`.

  Returns:
    Float64 `[R, N]`, in `model.unit`.
  """
  return NegativeLogLikelihood(
      batch_map.frozen(model, strategy), estimator, strategy, own_estimator)(
          split, **kwargs)


def evaluate_inputs(
    model: models.Flow, x: np.ndarray, *, batch_size: int | None = None,
    num_repeats: int = 8, seed: int = 0,
    estimator: layers.EstimatorLike = None, verbose: int = 0,
    num_probes: int = 1, strategy: tf.distribute.Strategy | None = None,
    condition: Any = None) -> dict[str, np.ndarray]:
  """Evaluates the density at given images or vectors.

  Args:
    model: a flow.
    x: `[n, ...]`, images in [0, 1).
    batch_size: examples per batch; `fitting_batch_size` by default.
    num_repeats: independent estimates of the log-determinant that are
      averaged; where nothing is drawn, there is one.
    seed: Python int; the result is a function of it.
    estimator: of the log-determinant, or its spec;
      `Flow.evaluation_estimator` by default.
    verbose: 1 shows a progress bar.
    num_probes: see `nll`.
    strategy: see `nll`.
    condition: of a flow `p(x|c)`, `[n, ...]`, or that of one for all.

  Returns:
    Float64 arrays: `z` `[n, D]` (in the order of the model), `log_det` `[n]`
    (`log|det dz/dx|`, nats), `log_prob` `[n]` (of the density of `x`, nats),
    `log_prob_deviation` `[n]` (see `statistics.deviation_of_means`),
    `bits_per_dim` or `nats` `[n]`, `log_det_repeats` `[R, n]`, the estimates
    whose mean `log_det` is, and of hybrids `class_log_prob` `[n, K]` (nats).
    Where the model's embedding draws noise `u`, `z` and `log_det` are those of
    `(x, u)`, `z` of the first draw, `log_prob` is the mean of
    `log_prob_repeats` `[R, n]`, estimates of a lower bound, and `bits_per_dim`
    of an upper one.

  References:
    Chen et al., 2019, Residual Flows, Equation 1.
  """
  estimator = numerics.Estimator.get(
      estimator) or model.evaluation_estimator
  is_random = estimator.is_random or model.embedding.is_random
  _check_draws(estimator, num_repeats, num_probes, is_random)
  num_repeats = num_repeats if is_random else 1
  batches = batch_map.slices(
      model, np.asarray(x, model.compute_dtype), condition,
      batch_size or fitting_batch_size(model, estimator))
  latents, log_dets, others = [], [], []
  frozen = batch_map.frozen(model, strategy)

  def evaluate(images, batch_seed, *condition):
    batch_seed = random.whole_batch(batch_seed)
    return (*frozen.forward_and_log_det(
        images, *condition, seed=batch_seed, estimator=estimator),
            frozen.embed(images, *condition, seed=batch_seed).log_weight)

  mapped = batch_map.BatchMap(evaluate, strategy, shared=[1])
  for z, log_det, log_weight in mapped(
      _seeded(lambda repeat: batches, seed, num_repeats, num_probes),
      batch_map.progress_bar(num_repeats * num_probes * len(x), verbose)):
    # An estimator changes no z: that of the first draw is kept.
    if len(log_dets) in range(0, num_probes * len(batches), num_probes):
      latents.append(z)
    log_dets.append(log_det)
    if model.embedding.is_random:
      others.append(
          model.base_log_prob(z.astype(np.float64)).numpy() + log_weight)
  z = np.concatenate(latents).astype(np.float64)
  log_dets = _average(log_dets, num_repeats, num_probes)
  results = {
      'z': z, 'log_det': log_dets.mean(axis=0), 'log_det_repeats': log_dets}
  if model.embedding.is_random:
    repeats = log_dets + _average(others, num_repeats, num_probes)
    results |= {
        'log_prob': repeats.mean(axis=0), 'log_prob_repeats': repeats}
  else:
    repeats = log_dets
    results['log_prob'] = model.base_log_prob(z).numpy() + results['log_det']
  results |= {
      'log_prob_deviation': statistics.deviation_of_means(repeats),
      model.unit: model.in_unit(results['log_prob'])}
  if model.has_classifier:
    results['class_log_prob'] = classification.Classification(
        frozen, strategy).log_probs(batches)
  return results


def results_of_split(
    model: models.Flow, split: datasets.Split, costs: np.ndarray, *,
    batch_size: int = 128, seed: int = 0,
    strategy: tf.distribute.Strategy | None = None) -> dict[str, np.ndarray]:
  """Returns what a file keeps of every example of a split.

  Args:
    model: the flow.
    split: the data.
    costs: `[R, N]`, what `nll` returned for the first `N` of them.
    batch_size: examples per batch.
    seed: of the noise of the images that are classified.
    strategy: see `nll`.

  Returns:
    `bits_per_dim` or `nats` `[R, N]`; `log_prob` `[N]`, the mean over the
    repeats, and thereby over the noise of dequantisation, of `log p(x)`, nats;
    `log_prob_deviation` `[N]` of that mean; of hybrids `class_log_prob`
    `[N, K]`, nats; and `label` `[N]` where they are known.
  """
  num_examples = costs.shape[1]
  log_prob = model.log_prob_of(costs)
  results = {
      model.unit: costs, 'log_prob': log_prob.mean(axis=0),
      'log_prob_deviation': statistics.deviation_of_means(log_prob)}
  batches = datasets.evaluation_batches(
      split, batch_size=batch_size, seed=seed, num_examples=num_examples)
  if model.has_classifier:
    results['class_log_prob'] = classification.Classification(
        batch_map.frozen(model, strategy), strategy).log_probs(batches)
  label = np.concatenate([batch['label'] for batch in batches])
  if np.any(label >= 0):
    results['label'] = label
  return results


def _check_draws(estimator, num_repeats, num_probes, is_random):
  errors.check(
      num_repeats >= statistics.MIN_REPEATS or not is_random, 'num_repeats',
      num_repeats, f'a number from {statistics.MIN_REPEATS}',
      'The standard error of the estimator is taken from the repeats.')
  errors.check(
      num_probes >= 1, 'num_probes', num_probes, 'a number from 1')
  errors.check(
      num_probes == 1 or estimator.is_random, 'num_probes', num_probes,
      '1 with an estimator that draws nothing')


def _seeded(batches_of, seed, num_repeats, num_probes):
  """Yields `(x, seed)` or `(x, seed, condition)` of all repeats and probes."""
  for repeat in range(num_repeats):
    for i, (x, *condition) in enumerate(batches_of(repeat)):
      for probe in range(num_probes):
        draw = random.fold_in(seed, repeat * num_probes + probe)
        yield x, random.fold_in(draw, i).values, *condition


def _average(values, num_repeats, num_probes):
  """Returns means over the probes, `[R, N]`, of `[B]` in `_seeded`'s order."""
  return np.concatenate([
      np.mean(np.asarray(values[i:i + num_probes], np.float64), axis=0)
      for i in range(0, len(values), num_probes)]).reshape([num_repeats, -1])
