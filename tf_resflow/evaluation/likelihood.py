"""Bits/dim of a data set under a flow."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import progress
from tf_resflow.evaluation import statistics
from tf_resflow.numerics import random

# Larger tails are faster and noisier.
_DEFAULT_ESTIMATOR = 'adaptive:0.02'


def default_estimator() -> numerics.Estimator:
  """Returns the estimator of an evaluation: `numerics.AdaptiveRoulette`.

  Unbiased, of finite variance, at a fraction of the cost of the paper's, which
  is `numerics.Estimator.get('roulette:safe,exact=20')`: exact terms, then a
  roulette whose variance is finite for the Lipschitz bound of every block, so
  that standard errors mean what they say. (The Poisson roulette of training has
  no finite variance.)

  References:
    Chen et al., 2019, Residual Flows, Section 5.1.
  """
  return numerics.Estimator.get(_DEFAULT_ESTIMATOR)


def check_num_repeats(num_repeats: int) -> None:
  """Raises `InvalidValueError` for fewer repeats than a standard error needs.
  """
  errors.check(
      num_repeats >= statistics.MIN_REPEATS, 'num_repeats', num_repeats,
      f'a number from {statistics.MIN_REPEATS}',
      'The standard error of the estimator is taken from the repeats.')


def check_num_probes(num_probes: int, estimator: numerics.Estimator) -> None:
  """Raises `InvalidValueError` for a number of probes that does not suit."""
  errors.check(
      num_probes >= 1, 'num_probes', num_probes, 'a number from 1')
  errors.check(
      num_probes == 1 or estimator.is_random, 'num_probes', num_probes,
      '1 with an estimator that draws nothing')


def seeded_batches(
    batches: Iterable[tf.Tensor], seed: int, repeat: int, num_probes: int,
) -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
  """Yields `(batch, seed)`, every batch `num_probes` times.

  Args:
    batches: the batches.
    seed: Python int, of the evaluation.
    repeat: number of the repeat.
    num_probes: `P`.
  """
  for i, batch in enumerate(batches):
    for probe in range(num_probes):
      draw = random.fold_in(seed, repeat * num_probes + probe)
      yield batch, random.fold_in(draw, i).values


def average_probes(
    values: Sequence[np.ndarray], num_probes: int) -> np.ndarray:
  """Returns the means over the probes, joined: float64 `[N]`.

  Args:
    values: arrays `[B]`, in the order of `seeded_batches`.
    num_probes: `P`.
  """
  return np.concatenate([
      np.mean(np.asarray(values[i:i + num_probes], np.float64), axis=0)
      for i in range(0, len(values), num_probes)])


def bits_per_dim(
    model: models.Flow, split: datasets.ImageSplit, batch_size: int = 128,
    num_repeats: int = 8, seed: int = 0,
    estimator: numerics.Estimator | None = None,
    num_examples: int | None = None, verbose: int = 0, num_probes: int = 1,
    strategy: tf.distribute.Strategy | None = None) -> np.ndarray:
  """Estimates the bits/dim of every example of a split, several times.

  Each repeat draws dequantisation noise, probes and numbers of terms anew.

  Args:
    model: a flow on images of integers.
    split: the images.
    batch_size: examples per batch, each on one device.
    num_repeats: `R`, independent repeats; at least 8.
    seed: Python int; the result is a function of it.
    estimator: of the log-determinant, `default_estimator()` by default.
    num_examples: evaluate the first this many examples only.
    verbose: 1 shows a progress bar.
    num_probes: independent draws of the estimator per example and repeat, at
      the same noise, which are averaged.
    strategy: in whose scope the model was made; its devices share the batches,
      and the result does not depend on their number.

  Returns:
    Float64 `[R, N]`; `statistics.summarize_repeats` has its mean and both
    standard errors.
  """
  check_num_repeats(num_repeats)
  estimator = estimator or default_estimator()
  check_num_probes(num_probes, estimator)
  evaluate = batch_map.make_batch_map(
      lambda images, batch_seed: model.bits_per_dim(
          images, seed=random.whole_batch(batch_seed), estimator=estimator),
      strategy)
  count = num_examples or split.num_examples
  bar = progress.progress_bar(num_repeats * num_probes * count, verbose)
  results = []
  for repeat in range(num_repeats):
    batches = datasets.evaluation_batches(
        split, batch_size=batch_size, seed=seed * 1009 + repeat,
        num_examples=num_examples)
    values = []
    for value in evaluate(seeded_batches(
        (batch['image'] for batch in batches), seed, repeat, num_probes)):
      values.append(value)
      bar.add(value.size)
    results.append(average_probes(values, num_probes))
  return np.asarray(results)
