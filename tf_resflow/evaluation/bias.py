"""How far the densities that a flow trains by are from unbiased ones.

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
  """The bits/dim or nats of a split by two estimators.

  Attributes:
    unit: of all of them, see `models.Flow.unit`.
    own: by those of the flow's blocks.
    unbiased: by an unbiased one.
    difference: own less unbiased, example by example.
  """

  unit: str
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
        'unit': self.unit,
        self.unit: self.unbiased.mean,
        f'{self.unit}_stderr': self.unbiased.stderr,
        f'own_{self.unit}': self.own.mean,
        'bias': self.difference.mean,
        'bias_stderr': self.difference.total_stderr,
        'bias_num_stderrs': self.num_stderrs,
        'num_examples': self.difference.num_examples,
        'num_repeats': self.difference.num_repeats,
    }


def measure_bias(
    model: models.Flow, split: datasets.Split, *,
    estimator: numerics.Estimator | None = None, batch_size: int = 128,
    num_repeats: int = 8, seed: int = 0, num_examples: int | None = None,
    verbose: int = 0, strategy: tf.distribute.Strategy | None = None) -> Bias:
  """Compares the estimates of a flow's own estimators with unbiased ones.

  Args:
    model: a flow.
    split: the data.
    estimator: an unbiased one, `likelihood.default_estimator` by default.
    batch_size: see `likelihood.nll`; the other arguments, too.
    num_repeats: of both.
    seed: of noise and draws.
    num_examples: take the first this many examples only.
    verbose: 1 shows progress.
    strategy: in whose scope the model was made.

  References:
    Chen et al., 2019, Residual Flows, Figure 2.
  """
  own, unbiased = [
      likelihood.nll(
          model, split, batch_size=batch_size, num_repeats=num_repeats,
          seed=seed, estimator=estimator, num_examples=num_examples,
          verbose=verbose, strategy=strategy, own_estimator=is_own)
      for is_own in (True, False)]
  return Bias(model.unit, *map(
      statistics.summarize_repeats, (own, unbiased, own - unbiased)))
