"""How far the bits/dim that a flow trains by are from unbiased ones.

Both are of the same examples at the same dequantisation noise, so that their
difference is the bias of the estimator, and nothing that generalisation does.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import statistics


class Bias(NamedTuple):
  """The bits/dim of a split by two estimators.

  Attributes:
    own: by those of the flow's blocks.
    unbiased: by an unbiased one.
    difference: own less unbiased, example by example.
  """

  own: statistics.RepeatedMean
  unbiased: statistics.RepeatedMean
  difference: statistics.RepeatedMean

  @property
  def num_stderrs(self) -> float:
    """The difference in units of its error; negative where it is below 0."""
    return statistics.PairedDifference(
        self.difference.mean, self.difference.total_stderr,
        self.difference.num_examples).num_stderrs

  def report(self) -> dict[str, Any]:
    """Returns what a tool says of it, a dict for JSON."""
    return {
        'bits_per_dim': self.unbiased.mean,
        'bits_per_dim_stderr': self.unbiased.stderr,
        'own_bits_per_dim': self.own.mean,
        'bias': self.difference.mean,
        'bias_stderr': self.difference.total_stderr,
        'bias_num_stderrs': self.num_stderrs,
        'num_examples': self.difference.num_examples,
        'num_repeats': self.difference.num_repeats,
    }


def measure_bias(
    model: models.Flow, split: datasets.ImageSplit, *,
    estimator: numerics.Estimator | None = None, batch_size: int = 128,
    num_repeats: int = 8, seed: int = 0, num_examples: int | None = None,
    verbose: int = 0, strategy: tf.distribute.Strategy | None = None) -> Bias:
  """Compares the estimates of a flow's own estimators with unbiased ones.

  Args:
    model: a flow on images of integers.
    split: the images.
    estimator: an unbiased one, `likelihood.default_estimator()` by default.
    batch_size: see `likelihood.bits_per_dim`; the other arguments, too.
    num_repeats: of both.
    seed: of noise and draws.
    num_examples: take the first this many examples only.
    verbose: 1 shows progress.
    strategy: in whose scope the model was made.

  References:
    Chen et al., 2019, Residual Flows, Figure 2.
  """
  own, unbiased = [
      likelihood.bits_per_dim(
          model, split, batch_size=batch_size, num_repeats=num_repeats,
          seed=seed, estimator=estimator, num_examples=num_examples,
          verbose=verbose, strategy=strategy, own_estimator=is_own)
      for is_own in (True, False)]
  return Bias(*map(
      statistics.summarize_repeats, (own, unbiased, own - unbiased)))


def validate(
    model: models.Flow, split: datasets.ImageSplit,
    strategy: tf.distribute.Strategy | None = None) -> dict[str, float]:
  """Returns what a run logs of its validation part.

  Args:
    model: with the weights to validate.
    split: the validation part, two examples or more.
    strategy: see `likelihood.bits_per_dim`.

  Returns:
    `validation_bits_per_dim`, unbiased; `validation_bits_per_dim_stderr` across
    examples, and `validation_estimator_stderr`. Where the estimators that the
    flow trains by are biased, also `validation_biased_bits_per_dim`, by these;
    `validation_bias`, that less the unbiased number, and
    `validation_bias_stderr`.
  """
  bits = likelihood.bits_per_dim(model, split, strategy=strategy)
  summary = statistics.summarize_repeats(bits)
  row = {
      'validation_bits_per_dim': float(bits.mean()),
      'validation_bits_per_dim_stderr': summary.stderr,
      'validation_estimator_stderr': summary.estimator_stderr}
  if model.is_biased:
    biased = likelihood.bits_per_dim(
        model, split, strategy=strategy, own_estimator=True)
    difference = statistics.summarize_repeats(biased - bits)
    row |= {
        'validation_biased_bits_per_dim': float(biased.mean()),
        'validation_bias': difference.mean,
        'validation_bias_stderr': difference.total_stderr}
  return row
