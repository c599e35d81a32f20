"""Log-likelihoods under a flow: of a data set, of given images, of labels."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import statistics
from tf_resflow.models import flow
from tf_resflow.numerics import random
from tf_resflow.specs import frames

# Minimum number of draws for a score: fewer are too noisy.
_MIN_SCORE_REPEATS = 16
# Default batch size, and that of short vectors, which is larger.
_NUM_EXAMPLES = 128
_MAX_VECTORS = 10_000
_MAX_NUMBERS = 80_000


def default_batch_size(
    model: models.Flow, estimator: layers.EstimatorLike = None,
    largest: int | None = None) -> int:
  """Returns the default batch size for a model and an estimator.

  Args:
    estimator: of its log-determinants; None if they are not computed.
    largest: the batch size unless the estimator limits it. By default 128, and
      up to 10,000 for short vectors: launching operations takes most of the
      time then.

  Raises:
    InvalidValueError: if the events are too large for the estimator.
  """
  if largest is None:
    largest = _NUM_EXAMPLES if len(model.event_shape) > 1 else max(
        _NUM_EXAMPLES, min(_MAX_VECTORS, _MAX_NUMBERS // model.latent_size))
  estimator = numerics.Estimator.get(estimator)
  limit = estimator.max_batch_size(
      model.latent_size, tf.as_dtype(model.compute_dtype)
  ) if estimator is not None and model.is_random else None
  num_points = max(1, model.augmentation.num_points)
  return max(1, (
      largest if limit is None else min(largest, limit)) // num_points)


class ScoringRule(NamedTuple):
  """How log-likelihoods of single examples are estimated.

  Attributes:
    estimator: of the log-determinants.
    num_repeats: independent draws that are averaged; 1 if nothing is drawn.
    reason: explanation in words.
  """

  estimator: numerics.Estimator
  num_repeats: int
  reason: str


def scoring_rule(
    model: models.Flow, estimator: layers.EstimatorLike = None,
    num_repeats: int | None = None) -> ScoringRule:
  """Returns how scores, `log p(x)` of single examples, are estimated.

  The estimator is `Flow.evaluation_estimator`: exact for events of up to 64
  dimensions. Above, scores are means of 16 draws, or more. The score of an
  example does not depend on its batch. A deterministic flow, such as one of
  coupling blocks, is evaluated once. With noise channels the noise is drawn as
  well, and scores are means of the bound.

  Args:
    estimator: another estimator, or its spec.
    num_repeats: number of draws, 16 by default.

  Raises:
    InvalidValueError: if there are too few draws, or nothing is drawn and
      `num_repeats` is given.
  """
  estimator = numerics.Estimator.get(estimator)
  if estimator is not None:
    reason = 'the given estimator'
    if estimator.is_biased:
      reason += ', whose bias the standard error does not include'
  else:
    estimator = model.evaluation_estimator()
    reason = (
        f'averaged draws: more than {flow.MAX_EXACT_SIZE} dimensions'
        if estimator.is_random else
        f'exact: at most {flow.MAX_EXACT_SIZE} dimensions')
  if not model.is_random_with(estimator):
    errors.check_suits(num_repeats is None, 'num_repeats', num_repeats,
                       'has no effect: nothing is drawn')
    if not model.bijection.is_random:
      reason = 'no log-determinant of this flow is estimated'
    return ScoringRule(estimator, 1, reason)
  num_repeats = _MIN_SCORE_REPEATS if num_repeats is None else num_repeats
  errors.check(
      num_repeats >= _MIN_SCORE_REPEATS, 'num_repeats', num_repeats,
      f'a number >= {_MIN_SCORE_REPEATS}',
      'The noise of fewer draws hides differences between images.')
  return ScoringRule(estimator.per_example(), num_repeats, reason)


class NegativeLogLikelihood:
  """Evaluates bits/dim or nats of examples; one graph for all calls.

  Args:
    estimator: of the log-determinant, or its spec; by default that of
      `Flow.evaluation_estimator`, for integers with their noise.
    strategy: in whose scope the model was made; its devices share the batches,
      and the result does not depend on their number.
    own_estimator: use the estimators of the model's blocks, those that it was
      trained with, in place of `estimator`; the noise is the same.
  """

  def __init__(
      self, model: models.Flow, estimator: layers.EstimatorLike = None,
      strategy: tf.distribute.Strategy | None = None,
      own_estimator: bool = False):
    self._estimator = numerics.Estimator.get(
        estimator) or model.evaluation_estimator(dequantizes=True)
    self._batch_size = default_batch_size(model, self._estimator)
    # Integers are dequantised with noise.
    self._is_random = (
        model.num_levels is not None or own_estimator
        or model.is_random_with(self._estimator))
    used = 'own' if own_estimator else self._estimator
    self._evaluate = batch_map.BatchMap(
        lambda x, batch_seed, *condition: model.to_loss(model.log_prob(
            x, *condition, seed=random.whole_batch(batch_seed),
            estimator=used)), strategy, shared=[1])

  def __call__(
      self, split: datasets.Split, batch_size: int | None = None,
      num_repeats: int = 8, seed: int = 0, num_examples: int | None = None,
      verbose: int = 0, num_probes: int = 1) -> np.ndarray:
    """Estimates bits/dim or nats of a split, several times.

    Each repeat draws dequantisation noise, probes, numbers of terms and the
    noise of the model's augmentation anew: with noise channels the mean over
    repeats is an upper bound of bits/dim in expectation, see `models.Flow`.

    Args:
      batch_size: examples per batch, each on one device;
        `default_batch_size` by default.
      num_repeats: `R`, independent repeats, at least 8; a deterministic
        evaluation has one.
      seed: the result is a function of it.
      num_examples: evaluate only the first ones.
      verbose: 1 shows a progress bar.
      num_probes: independent draws of the estimator (and of an augmentation)
        per example and repeat, at the same noise, which are averaged.

    Returns:
      Float64 `[R, N]`, in `model.unit`; `statistics.summarize_repeats` has its
      mean and both standard errors.
    """
    num_repeats = _checked_repeats(
        self._estimator, num_repeats, num_probes, self._is_random)
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
  """Evaluates the `NegativeLogLikelihood` of a flow on a split, `[R, N]`.

  Args:
    model, estimator, strategy, own_estimator: see there.
    split, **kwargs: of its call: `batch_size`, `num_repeats`, `seed`,
      `num_examples`, `verbose`, `num_probes`.
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
    x: `[n, ...]`, images in [0, 1); or a data frame, also with the columns of
      the condition.
    batch_size, num_repeats, seed, estimator, verbose, num_probes, strategy: see
      `NegativeLogLikelihood`; the repeats are averaged.
    condition: of a flow `p(x|c)`, `[n, ...]`, or a single one for all.

  Returns:
    Float64 arrays: `z` `[n, D]` (in the order of the model), `log_det` `[n]`
    (`log|det dz/dx|`, nats), `log_prob` `[n]` (of the density of `x`, nats),
    `log_prob_stderr` `[n]` (see `statistics.stderr_per_example`),
    `bits_per_dim` or `nats` `[n]`, `log_det_repeats` `[R, n]`, the estimates
    whose mean `log_det` is, and of hybrids `class_log_prob` `[n, K]` (nats).
    Where the model's augmentation draws noise `u`, `z` and `log_det` are those
    of `(x, u)`, `z` of the first draw, `log_prob` is the mean of
    `log_prob_repeats` `[R, n]`, estimates of a lower bound, and `bits_per_dim`
    of an upper one; if it has fixed points, `log_prob_repeats` are the values
    of `Flow.log_prob`, which averages over these.

  References:
    Chen et al., 2019, Residual Flows, Equation 1.
  """
  estimator = numerics.Estimator.get(
      estimator) or model.evaluation_estimator()
  x, condition = frames.data_of(x, condition, model)
  is_finite = np.isfinite(np.asarray(x)).reshape([len(x), -1]).all(axis=1)
  errors.check(
      is_finite.all(), 'x', f'{np.sum(~is_finite)} examples with NaN or '
      'infinity', 'finite numbers', 'Leave these out.')
  averages = model.augmentation.num_points > 0
  num_repeats = _checked_repeats(
      estimator, num_repeats, num_probes, model.is_random_with(estimator))
  batches = batch_map.slices(
      model, np.asarray(x, model.compute_dtype), condition,
      batch_size or default_batch_size(model, estimator))
  latents, others = [], []
  log_dets: Any = []
  frozen = batch_map.frozen(model, strategy)

  def evaluate(images, batch_seed, *condition):
    batch_seed = random.whole_batch(batch_seed)
    arguments = {'seed': batch_seed, 'estimator': estimator}
    return (
        *frozen.forward_and_log_det(images, *condition, **arguments),
        frozen.log_prob(images, *condition, **arguments) if averages else
        frozen.augment(images, *condition, **arguments).log_weight)

  mapped = batch_map.BatchMap(evaluate, strategy, shared=[1])
  for z, log_det, other in mapped(
      _seeded(lambda repeat: batches, seed, num_repeats, num_probes),
      batch_map.progress_bar(num_repeats * num_probes * len(x), verbose)):
    # z does not depend on the estimator: that of the first draw is kept.
    if len(log_dets) in range(0, num_probes * len(batches), num_probes):
      latents.append(z)
    log_dets.append(log_det)
    if averages:
      others.append(other)
    elif model.augmentation.is_random:
      others.append(
          model.base_log_prob(z.astype(np.float64)).numpy() + other)
  z = np.concatenate(latents).astype(np.float64)
  log_dets = _average(log_dets, num_repeats, num_probes)
  results = {
      'z': z, 'log_det': log_dets.mean(axis=0), 'log_det_repeats': log_dets}
  if model.augmentation.is_random:
    repeats = _average(others, num_repeats, num_probes)
    if not averages:
      repeats += log_dets
    results |= {
        'log_prob': repeats.mean(axis=0), 'log_prob_repeats': repeats}
  else:
    repeats = log_dets
    results['log_prob'] = model.base_log_prob(z).numpy() + results['log_det']
  results |= {
      'log_prob_stderr': statistics.stderr_per_example(repeats),
      model.unit: model.to_loss(results['log_prob'])}
  if model.has_classifier:
    results['class_log_prob'] = Classification(
        frozen, strategy).log_probs(batches)
  return results


class Classification:
  """Classifies by the classifier of a flow; one graph for all calls.

  Args:
    model: a flow with a classifier.
    strategy: see `NegativeLogLikelihood`.

  Raises:
    InvalidValueError: when it is called, if the model has no classifier.
  """

  def __init__(
      self, model: models.Flow, strategy: tf.distribute.Strategy | None = None):
    self._classify = batch_map.BatchMap(
        lambda batch_seed, *given: model.classify(
            *given, seed=random.whole_batch(batch_seed)), strategy, shared=[0])

  def log_probs(self, batches: Iterable[Any], seed: int = 0) -> np.ndarray:
    """Returns the log-probability of every class, float64 `[N, K]`, nats.

    Args:
      batches: what `batch_map.inputs_of` takes.
      seed: of the noise of an augmentation.
    """
    logits = np.concatenate(list(self._classify(
        (random.fold_in(seed, i).values, *batch_map.inputs_of(batch))
        for i, batch in enumerate(batches))))
    return special.log_softmax(np.float64(logits), axis=-1)

  def __call__(
      self, split: datasets.Split, batch_size: int = 128,
      num_examples: int | None = None, seed: int = 0,
  ) -> dict[str, statistics.MeanAndStderr]:
    """Returns the `accuracy_and_cross_entropy` on a split.

    Args:
      batch_size, num_examples: see `NegativeLogLikelihood`.
      seed: of the noise of dequantisation and augmentation.
    """
    batches = datasets.evaluation_batches(
        split, batch_size=batch_size, seed=seed, num_examples=num_examples)
    return accuracy_and_cross_entropy(
        self.log_probs(batches, seed),
        np.concatenate([batch['label'] for batch in batches]))


def accuracy_and_cross_entropy(
    log_probs: np.ndarray, label: np.ndarray,
) -> dict[str, statistics.MeanAndStderr]:
  """Returns how good a classification is.

  Args:
    log_probs: `log p(y|x)` of every label, `[N, K]`, nats.
    label: `[N]`.

  Returns:
    `accuracy`: the share of examples whose label is the likeliest, in [0, 1].
    Its standard error is the binomial one, `sqrt(p (1 - p) / (N - 1))`, which
    says nothing if all or none are right: it is 0 then.
    `cross_entropy`: the mean of `-log p(y|x)`, nats; infinite if a label was
    impossible.
  """
  nats = -log_probs[np.arange(len(label)), label]
  return {
      'accuracy': statistics.mean_and_stderr(log_probs.argmax(axis=1) == label),
      'cross_entropy': statistics.MeanAndStderr(np.inf, np.inf, len(nats))
                       if nats.max() == np.inf else
                       statistics.mean_and_stderr(nats)}


def _checked_repeats(estimator, num_repeats, num_probes, is_random):
  """Returns the number of repeats, 1 if nothing is drawn, or raises."""
  errors.check(
      num_repeats >= statistics.MIN_REPEATS or not is_random, 'num_repeats',
      num_repeats, f'a number >= {statistics.MIN_REPEATS}',
      'The standard error of the estimator is taken from the repeats.')
  errors.check(
      num_probes >= 1, 'num_probes', num_probes, 'a number >= 1')
  errors.check_suits(
      num_probes == 1 or estimator.is_random, 'num_probes', num_probes,
      'has no effect with a deterministic estimator')
  return num_repeats if is_random else 1


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
