"""Bits/dim of a data set under a flow."""

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import numerics
from tf_resflow.evaluation import statistics
from tf_resflow.numerics import random

# Larger ones are faster and noisier.
_TAIL = 0.02


def default_estimator():
  """Returns the estimator of an evaluation: `numerics.AdaptiveRoulette`.

  Unbiased, with a variance, at a fraction of the cost of `roulette_estimator`.
  """
  return numerics.AdaptiveRoulette(tail=_TAIL)


def roulette_estimator(model, num_exact_terms=20):
  """Returns the paper's estimator of an evaluation, with a variance.

  Exact terms, then a roulette whose variance is finite for the model's
  Lipschitz bound, so that standard errors mean what they say. (The Poisson
  roulette of training has none.)

  Args:
    model: a `models.Flow`.
    num_exact_terms: terms that are always computed; 20 in the paper.

  References:
    Chen et al., 2019, Residual Flows, Section 5.1.
  """
  bound = max(block.lipschitz_bound for block in model.residual_blocks)
  probability = 0.9 * numerics.Geometric.largest_safe_probability(bound)
  return numerics.RussianRoulette(
      numerics.Geometric(probability), num_exact_terms)


def bits_per_dim(model, split, batch_size=128, num_repeats=8, seed=0,
                 estimator=None, num_examples=None, verbose=0):
  """Estimates the bits/dim of every example of a split, several times.

  Each repeat draws dequantisation noise, probes and numbers of terms anew.

  Args:
    model: a `models.Flow`.
    split: a `datasets.ImageSplit`.
    batch_size: examples per batch.
    num_repeats: `R`, independent repeats; at least 8.
    seed: Python int; the result is a function of it.
    estimator: of the log-determinant, `default_estimator()` by default.
    num_examples: evaluate the first this many examples only.
    verbose: 1 shows a progress bar.

  Returns:
    Float64 NumPy array `[R, N]`; `statistics.summarize_repeats` has its mean
    and both standard errors.
  """
  if num_repeats < statistics.MIN_REPEATS:
    raise ValueError(
        f'num_repeats is {num_repeats}; {statistics.MIN_REPEATS} are the '
        'least from which the standard error of the estimator is taken.')
  estimator = default_estimator() if estimator is None else estimator

  @tf.function(autograph=False, reduce_retracing=True)
  def evaluate(images, batch_seed):
    return model.bits_per_dim(images, seed=batch_seed, log_det=estimator)

  count = num_examples or split.num_examples
  bar = keras.utils.Progbar(
      num_repeats * count, verbose=verbose, unit_name='image', interval=0.5)
  results = []
  for repeat in range(num_repeats):
    batches = datasets.evaluation_batches(
        split, batch_size=batch_size, seed=seed * 1009 + repeat,
        num_examples=num_examples)
    values = []
    for i, batch in enumerate(batches):
      batch_seed = random.fold_in(random.fold_in(
          random.as_seed(seed), repeat), i)
      values.append(evaluate(batch['image'], batch_seed).numpy())
      bar.add(values[-1].size)
    results.append(np.concatenate(values))
  return np.asarray(results, np.float64)
