"""Bits/dim of a data set under a flow."""

import numpy as np

from tf_resflow import datasets
from tf_resflow import numerics
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import progress
from tf_resflow.evaluation import statistics
from tf_resflow.numerics import random

# Larger ones are faster and noisier.
_TAIL = 0.02


def default_estimator() -> numerics.Estimator:
  """Returns the estimator of an evaluation: `numerics.AdaptiveRoulette`.

  Unbiased, with a variance, at a fraction of the cost of `paper_estimator`.
  """
  return numerics.AdaptiveRoulette(tail=_TAIL)


def paper_estimator() -> numerics.Estimator:
  """Returns the paper's estimator of an evaluation, with a variance.

  20 exact terms, then a roulette whose variance is finite for the Lipschitz
  bound of every block, so that standard errors mean what they say. (The Poisson
  roulette of training has none.)

  References:
    Chen et al., 2019, Residual Flows, Section 5.1.
  """
  return numerics.Estimator.get('roulette:safe,exact=20')


def check_num_probes(num_probes, estimator):
  """Raises ValueError for a number of probes that does not fit."""
  if num_probes < 1:
    raise ValueError(f'num_probes is {num_probes}; it must be 1 or more.')
  if num_probes > 1 and not estimator.is_random:
    raise ValueError(
        f'num_probes is {num_probes}, but an exact log-determinant takes no '
        'probe; leave it at 1.')


def seeded_batches(batches, seed, repeat, num_probes):
  """Yields `(batch, seed)`, every batch `num_probes` times.

  Args:
    batches: iterable of tensors.
    seed: Python int, of the evaluation.
    repeat: number of the repeat.
    num_probes: `P`.
  """
  for i, batch in enumerate(batches):
    for probe in range(num_probes):
      draw = random.fold_in(random.as_seed(seed), repeat * num_probes + probe)
      yield batch, random.fold_in(draw, i)


def average_probes(values, num_probes):
  """Returns the means over the probes, joined.

  Args:
    values: list of arrays `[B]`, in the order of `seeded_batches`.
    num_probes: `P`.

  Returns:
    Float64 array `[N]`.
  """
  return np.concatenate([
      np.mean(np.asarray(values[i:i + num_probes], np.float64), axis=0)
      for i in range(0, len(values), num_probes)])


def bits_per_dim(model, split, batch_size=128, num_repeats=8, seed=0,
                 estimator=None, num_examples=None, verbose=0, num_probes=1,
                 strategy=None):
  """Estimates the bits/dim of every example of a split, several times.

  Each repeat draws dequantisation noise, probes and numbers of terms anew.

  Args:
    model: a `models.Flow`.
    split: a `datasets.ImageSplit`.
    batch_size: examples per batch, each on one device.
    num_repeats: `R`, independent repeats; at least 8.
    seed: Python int; the result is a function of it.
    estimator: of the log-determinant, `default_estimator()` by default.
    num_examples: evaluate the first this many examples only.
    verbose: 1 shows a progress bar.
    num_probes: independent draws of the estimator per example and repeat, at
      the same noise, which are averaged.
    strategy: a `tf.distribute.Strategy` in whose scope the model was made;
      its devices share the batches, and the result does not depend on their
      number.

  Returns:
    Float64 NumPy array `[R, N]`; `statistics.summarize_repeats` has its mean
    and both standard errors.
  """
  if num_repeats < statistics.MIN_REPEATS:
    raise ValueError(
        f'num_repeats is {num_repeats}; {statistics.MIN_REPEATS} are the '
        'least from which the standard error of the estimator is taken.')
  estimator = default_estimator() if estimator is None else estimator
  check_num_probes(num_probes, estimator)
  evaluate = batch_map.make_batch_map(
      lambda images, batch_seed: model.bits_per_dim(
          images, seed=batch_seed, log_det=estimator), strategy)
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
