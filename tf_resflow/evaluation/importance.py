"""Bounds of log-likelihoods by several draws of the noise of integers."""

import dataclasses
import math
from typing import Any

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import results as results_lib
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.evaluation import statistics

# Standard deviation of log-determinants above which weights are biased, nats;
# number of draws that it is estimated by.
_MAX_NOISE = 0.1
_NUM_DRAWS = 8


def importance_bound(
    model: models.Flow, split: datasets.Split, num_samples: int, *,
    num_examples: int | None = None, **settings: Any) -> results_lib.Results:
  """Returns the bound of `log P(X)` by `K` draws of noise for each example.

    log P(X) >= E log (1/K) sum_k w_k,   w_k = p(X, u_k) / q(u_k|X)

  which rises with `K`, to `log P(X)` in the limit; `K = 1` is the bound that
  other evaluations give. The noise is that of dequantisation, uniform or
  learned, and of an augmentation. (Tables with columns of integers have log P
  itself up to 64 columns, see `layers.UniformDequantization`.)

  An estimate of a log-determinant with the variance `s^2` raises the mean of
  the weights, and so the logarithm by up to `s^2 / 2`.

  Args:
    model: a flow.
    num_samples: `K`, at least 2.
    num_examples: evaluate only the first ones.
    **settings: see `EvaluationSettings`; the estimator is by default exact up
      to 64 dimensions. Others are seldom precise enough.

  Returns:
    Numbers: `importance_bits_per_dim` (or `nats`) with its `_stderr` across
    examples, `importance_num_samples` and `importance_effective_samples`, the
    mean over examples of `(sum w)^2 / sum w^2`. Arrays:
    `importance_log_prob` `[N]`, nats, of the density in [0, 1)^D of images:
    `log P(X) + D log n`.

  Raises:
    InvalidValueError: if there is no noise, or log-determinants are noisier
      than 0.1 nats.

  References:
    Burda, Grosse, Salakhutdinov, 2016, Importance Weighted Autoencoders,
    Theorem 1.
  """
  used = settings_lib.EvaluationSettings.of(model, **settings)
  errors.check(num_samples >= 2, 'importance_samples', num_samples,
               'a number >= 2')
  errors.check(
      model.is_image or model.augmentation.is_random and not
      model.augmentation.num_points, 'importance_samples', num_samples,
      problem='has no effect: no noise is drawn')
  frozen = batch_map.frozen(model, used.strategy)
  _check_noise(frozen, split, used)
  log_probs = likelihood.log_probs_of_splits(
      frozen, settings=dataclasses.replace(
          used, num_repeats=max(num_samples, statistics.MIN_REPEATS)),
  )(split, num_examples)[:num_samples]
  weights = special.softmax(log_probs, axis=0)
  bound = special.logsumexp(log_probs, axis=0) - math.log(len(log_probs))
  name = f'importance_{model.unit}'
  weight = split.weights
  mean = statistics.mean_and_stderr(
      model.to_loss(bound), None if weight is None else weight[:len(bound)])
  return results_lib.Results(numbers={
      **mean.report(name), 'importance_num_samples': num_samples,
      'importance_effective_samples': float(np.mean(
          1.0 / np.sum(np.square(weights), axis=0)))},
                             arrays={'importance_log_prob': bound})


def _check_noise(model, split, settings):
  """Raises if log-determinants of the first examples are too noisy."""
  estimator = settings.estimator
  if not model.is_random or (
      estimator != 'training' and not estimator.is_random):
    return
  x, *condition = batch_map.inputs_of(next(iter(settings.batches(split))))
  y = model.augment(x, *condition, seed=settings.seed).y
  draw_fn = tf.function(lambda seed: model.joint_log_prob(
      y, *condition, seed=seed, estimator=estimator))
  draws = [draw_fn(numerics.random.fold_in(settings.seed, i).values)
           for i in range(_NUM_DRAWS)]
  noise = float(np.sqrt(
      np.mean(np.var(draws, axis=0, ddof=1)) / settings.num_probes))
  errors.check(
      noise <= _MAX_NOISE, 'importance_samples',
      problem=f'requires log-determinants with a noise of at most {_MAX_NOISE} '
      f'nats, not {noise:.2g}',
      advice='Use --estimator=exact.')
