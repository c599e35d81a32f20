"""Log-likelihoods under a flow: of a data set, of given images, of labels."""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
from typing import Any

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.columns import rows as rows_lib
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.evaluation import statistics
from tf_resflow.models import latent_model
from tf_resflow.numerics import random

# Minimum number of draws for a score: fewer are too noisy.
_MIN_SCORE_REPEATS = 16


def scoring_settings(
    model: models.Flow, estimator: layers.EstimatorLike = None,
    num_repeats: int | None = None) -> settings_lib.EvaluationSettings:
  """Returns the settings of scores, `log p(x)` of single examples.

  The estimator is `Flow.evaluation_estimator`: exact for events of up to 64
  dimensions. Above, scores are means of 16 draws, or more. The score of an
  example does not depend on its batch. A deterministic flow, such as one of
  coupling blocks, is evaluated once. With noise channels the noise is drawn as
  well, and scores are means of the bound.

  Args:
    estimator: another estimator, or its spec.
    num_repeats: number of draws, 16 by default; only where something is drawn.
  """
  estimator = numerics.Estimator.get(estimator)
  if estimator is not None:
    reason = 'the given estimator'
    if estimator.is_biased:
      reason += ', whose bias the standard error does not include'
  else:
    estimator = model.evaluation_estimator()
    reason = (
        f'averaged draws: more than {latent_model.MAX_EXACT_SIZE} dimensions'
        if estimator.is_random else
        f'exact: at most {latent_model.MAX_EXACT_SIZE} dimensions')
  if not model.is_random_with(estimator):
    errors.check(
        num_repeats is None, 'num_repeats', num_repeats,
        problem='has no effect: nothing is drawn')
    if not model.bijection.is_random:
      reason = 'no log-determinant of this flow is estimated'
    return settings_lib.EvaluationSettings(
        estimator=estimator, num_repeats=1, reason=reason)
  num_repeats = _MIN_SCORE_REPEATS if num_repeats is None else num_repeats
  errors.check(
      num_repeats >= _MIN_SCORE_REPEATS, 'num_repeats', num_repeats,
      f'a number >= {_MIN_SCORE_REPEATS}',
      'The noise of fewer draws hides differences between images.')
  return settings_lib.EvaluationSettings(
      estimator=estimator.per_example(), num_repeats=num_repeats, reason=reason)


class LogProbs:
  """Estimates `log p(x)` of examples by several draws.

  Args:
    model: a flow.
    settings: every repeat has its probes in a row.
    method: what is evaluated: a function of the model, `x`, perhaps a
      condition, `seed` and `estimator`, that returns `[B, ...]`, or a tuple of
      such.
    per_example: whether an example, known by the `index` in its batch, has
      draws of its own, see `numerics.random.numbered`.
    is_repeated: see `batch_map.BatchMap`.
  """

  def __init__(
      self, model: models.Flow, settings: settings_lib.EvaluationSettings,
      method: Callable = models.Flow.log_prob, *, per_example: bool = False,
      is_repeated: bool = False):
    self._model, self._settings = model, settings
    self._per_example = per_example

    def evaluate(seed, *inputs):
      if per_example:
        seed, inputs = random.numbered(seed, inputs[0]), inputs[1:]
      return method(model, *inputs, seed=random.per_replica(seed),
                    estimator=settings.estimator)

    self._evaluate = batch_map.BatchMap(
        evaluate, settings.strategy, shared=[0], is_repeated=is_repeated)

  def draws(
      self, batches_of: Callable[[int], Iterable[Any]], num_examples: int,
      title: str = '', first: int = 0, bar: Any = None) -> Iterator[Any]:
    """Yields what the method returns for all examples, draw by draw.

    Args:
      batches_of: maps the number of a repeat to its batches, which
        `batch_map.inputs_of` takes.
      num_examples: in these batches, `N`.
      title: see `batch_map.progress_bar`.
      first: number of the first batch.
      bar: a progress bar in place of one of its own.

    Yields:
      `[N, ...]`, or a tuple of such.
    """
    num_probes = self._settings.num_probes
    num_draws = self._settings.num_repeats * num_probes

    def arguments():
      for draw in range(num_draws):
        draw_seed = random.fold_in(self._settings.seed, draw)
        for i, batch in enumerate(batches_of(draw // num_probes), first):
          seeds = (draw_seed.values, batch['index']) if self._per_example else (
              random.fold_in(draw_seed, i).values,)
          yield *seeds, *batch_map.inputs_of(batch)

    parts: list[Any] = []
    count = 0
    for part in self._evaluate(arguments(), bar or batch_map.progress_bar(
        num_draws * num_examples, self._settings.verbose, title)):
      parts.append(part)
      count += len(tf.nest.flatten(part)[0])
      if count == num_examples:  # The next draw begins.
        yield tf.nest.map_structure(lambda *a: np.concatenate(a), *parts)
        parts, count = [], 0

  def __call__(self, *args: Any, **options: Any) -> np.ndarray:
    """Returns means of the `draws` over the probes, float64 `[R, N]`."""
    return _average(list(self.draws(*args, **options)), self._settings)


  def of_arrays(self, x: np.ndarray, condition: Any = None) -> np.ndarray:
    """Returns means of the draws of all repeats, float64 `[N]`."""
    batches = batch_map.slices(
        self._model, np.asarray(x, self._model.input_dtype), condition,
        self._settings.batch_size)
    return self(lambda repeat: batches, len(x)).mean(axis=0)


def log_probs_of_splits(
    model: models.Flow, *, is_repeated: bool = False, **settings: Any,
) -> Callable[..., np.ndarray]:
  """Returns a function that estimates `log p(x)` of a split.

  Each repeat draws dequantisation noise, probes, numbers of terms and the noise
  of the model's augmentation anew: with noise channels the mean over repeats is
  a lower bound in expectation, see `models.Flow`.

  Args:
    model: a flow.
    is_repeated: see `batch_map.BatchMap`.
    **settings: see `EvaluationSettings`; by default the estimator is that for
      integers with their noise.

  Returns:
    A function of a split and, perhaps, the number of its first examples to
    evaluate, that returns float64 `[R, N]`, nats.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings, dequantizes=True)
  # Integers are dequantised with noise.
  used = _checked(used, model.is_image or model.is_random_with(used.estimator))
  log_probs = LogProbs(model, used, is_repeated=is_repeated)
  return lambda split, num_examples=None: log_probs(
      lambda repeat: used.batches(
          split, num_examples, used.seed * 1009 + repeat),
      num_examples or split.num_examples)


def nll(
    model: models.Flow, split: datasets.Split, *,
    num_examples: int | None = None, **settings: Any) -> np.ndarray:
  """Estimates bits/dim or nats of a split, see `log_probs_of_splits`.

  Args:
    num_examples: evaluate only the first ones.
    **settings: see `EvaluationSettings`.

  Returns:
    Float64 `[R, N]`, in `model.unit`; `statistics.summarize_repeats` has its
    mean and both standard errors.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings, dequantizes=True)
  return model.to_loss(log_probs_of_splits(
      batch_map.frozen(model, used.strategy), settings=used
  )(split, num_examples))


def evaluate_inputs(
    model: models.Flow, x: np.ndarray, *, condition: Any = None,
    **settings: Any) -> dict[str, np.ndarray]:
  """Evaluates the density at given images or vectors.

  Args:
    x: `[n, ...]`, images in [0, 1); or a data frame, also with the columns of
      the condition.
    condition: of a flow `p(x|c)`, `[n, ...]`, or a single one for all.
    **settings: see `EvaluationSettings`; the repeats are averaged.

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
  return evaluator(model, **settings)(x, condition)


def evaluator(
    model: models.Flow, **settings: Any,
) -> Callable[..., dict[str, np.ndarray]]:
  """Returns the function of `x` and a condition that `evaluate_inputs` calls.

  Of data that come in parts it also takes the number `first` of the first batch
  of a part, and a progress `bar` of all.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings)
  used = _checked(used, model.is_random_with(used.estimator))
  frozen = batch_map.frozen(model, used.strategy)
  densities = LogProbs(
      frozen, used, lambda model, *inputs, **options: model.density(
          *inputs, **options, dtype=tf.float64)[:3])
  classify = classifications(frozen, used.strategy)

  def evaluate(x, condition=None, **part):
    x, condition = rows_lib.arrays(model.schema, x, condition)
    x = np.asarray(x)
    errors.check(
        x.dtype.kind == 'f' or not model.is_image, 'x', x.dtype.name, 'floats',
        'datasets.dequantize turns integers into these in [0, 1).')
    is_finite = np.isfinite(x).reshape([len(x), -1]).all(axis=1)
    errors.check(
        is_finite.all(), 'x', f'{np.sum(~is_finite)} examples with NaN or '
        'infinity', 'finite numbers', 'Leave these out.')
    batches = batch_map.slices(
        model, np.asarray(x, model.input_dtype), condition, used.batch_size)
    draws = densities.draws(lambda repeat: batches, len(x), **part)
    # Of the draws only the first one's latents are kept.
    log_prob, z, log_det = next(draws)
    log_probs, log_dets = np.moveaxis(_average(
        [(log_prob, log_det), *(values[::2] for values in draws)], used), 1, 0)
    log_prob = log_probs.mean(axis=0)
    results = {
        'z': np.float64(z), 'log_det': log_dets.mean(axis=0),
        'log_det_repeats': log_dets, 'log_prob': log_prob,
        'log_prob_stderr': statistics.stderr_per_example(log_probs),
        model.unit: model.to_loss(log_prob)}
    if model.augmentation.is_random:
      results['log_prob_repeats'] = log_probs
    if model.has_classifier:
      results['class_log_prob'] = classify(batches)
    return results

  return evaluate


def classifications(
    model: models.Flow, strategy: tf.distribute.Strategy | None = None,
    **options: Any) -> Callable[..., np.ndarray]:
  """Returns a function that classifies by the classifier of a flow.

  It takes batches, see `batch_map.inputs_of`, and perhaps a seed of the noise
  of an augmentation, and returns the log-probability of every class, float64
  `[N, K]`, nats. Options are those of `batch_map.BatchMap`.
  """
  classify = batch_map.BatchMap(
      lambda batch_seed, *given: model.classify(
          *given, seed=random.per_replica(batch_seed)), strategy, shared=[0],
      **options)

  def log_probs(batches, seed=0):
    logits = np.concatenate(list(classify(
        (random.fold_in(seed, i).values, *batch_map.inputs_of(batch))
        for i, batch in enumerate(batches))))
    return special.log_softmax(np.float64(logits), axis=-1)

  return log_probs


def accuracy_and_cross_entropy(
    log_probs: np.ndarray, label: np.ndarray, weight: Any = None,
) -> dict[str, statistics.MeanAndStderr]:
  """Returns how good a classification is.

  Args:
    log_probs: `log p(y|x)` of every label, `[N, K]`, nats.
    label: `[N]`.
    weight: `[N]`, by default equal.

  Returns:
    `accuracy`: the share of examples whose label is the likeliest, in [0, 1].
    Its standard error is the binomial one, `sqrt(p (1 - p) / (N - 1))`, which
    says nothing if all or none are right: it is 0 then.
    `cross_entropy`: the mean of `-log p(y|x)`, nats; infinite if a label was
    impossible.
  """
  nats = -log_probs[np.arange(len(label)), label]
  return {
      'accuracy': statistics.mean_and_stderr(
          log_probs.argmax(axis=1) == label, weight),
      'cross_entropy': statistics.MeanAndStderr(np.inf, np.inf, len(nats))
                       if nats.max() == np.inf else
                       statistics.mean_and_stderr(nats, weight)}


def _checked(settings, is_random):
  """Returns settings with one repeat if nothing is drawn, or raises."""
  errors.check(
      settings.num_repeats >= statistics.MIN_REPEATS or not is_random,
      'num_repeats', settings.num_repeats,
      f'a number >= {statistics.MIN_REPEATS}',
      'The standard error of the estimator is taken from the repeats.')
  errors.check(settings.num_probes >= 1, 'num_probes', settings.num_probes,
               'a number >= 1')
  errors.check(
      settings.num_probes == 1 or settings.estimator == 'training'
      or settings.estimator.is_random, 'num_probes', settings.num_probes,
      problem='has no effect with a deterministic estimator')
  return settings if is_random else dataclasses.replace(settings, num_repeats=1)


def _average(draws, settings):
  """Returns means over the probes, `[R, ...]`, of `[R num_probes, ...]`."""
  values = np.asarray(draws, np.float64)
  return values.reshape([
      settings.num_repeats, settings.num_probes, *values.shape[1:]
  ]).mean(axis=1)
