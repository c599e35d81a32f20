"""Exact terms, then a random truncation by a law fixed beforehand."""

import dataclasses
from typing import Self

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import random
from tf_resflow.numerics.log_det import estimator
from tf_resflow.numerics.log_det import laws
from tf_resflow.numerics.log_det import series as series_lib
from tf_resflow.specs import spec


@dataclasses.dataclass(frozen=True)
class RussianRoulette(estimator.SeriesEstimator):
  """The unbiased estimator: exact terms, then a random truncation.

  `n = num_exact_terms + N`; `c_k = 1` for `k <= num_exact_terms`, otherwise
  `1 / P(N >= k - num_exact_terms)`. Value and gradient are unbiased for every
  law of `N` whose tail is positive; whether their variance is finite depends
  on the law, see `laws`.

  Several draws of `N` at one probe are averaged by averaging their weights,
  `c_k` times the share of the draws that reach `k`: one series, as long as the
  longest. The variance given the probe falls by the number of draws.

  Args:
    law: of `N`.
    num_exact_terms: number of terms that are always computed.
    num_samples: number of independent draws of `N` that are averaged.
    probe: 'rademacher' (+-1 entries, the lower variance) or 'gaussian' (as in
      the paper).

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
    >>> estimator = numerics.RussianRoulette(numerics.Geometric(0.5))
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [], tf.ones([5, 2]), estimator, seed=0)
    >>> log_det.shape, estimator.spec()
    (TensorShape([5]), 'roulette:geometric:0.5')

  References:
    Chen et al., 2019, Theorems 1 and 2.
  """

  law: laws.Law = laws.Poisson(2.0)
  num_exact_terms: int = spec.option(2, 'exact')
  num_samples: int = spec.option(1, 'samples')

  def __post_init__(self):
    super().__post_init__()
    errors.check(self.num_exact_terms >= 0, 'num_exact_terms',
                 self.num_exact_terms, 'a number from 0')
    errors.check(self.num_samples >= 1, 'num_samples', self.num_samples,
                 'a number from 1')

  def for_bound(self, lipschitz_bound: float) -> Self:
    return dataclasses.replace(self, law=self.law.for_bound(lipschitz_bound))

  def draw_stop(
      self, seed: random.Seed) -> tf.Tensor | tuple[tf.Tensor, ...]:
    if self.num_samples == 1:
      return self.num_exact_terms + self.law.sample(seed)
    return tuple(
        self.num_exact_terms + self.law.sample(random.fold_in(seed, i))
        for i in range(self.num_samples))

  def weights(self) -> np.ndarray:
    """Returns `c_k` for `k = 0, ..., K`, float64."""
    return np.concatenate(
        [np.ones(self.num_exact_terms + 1), 1.0 / self.law.tail_table()])

  def schedule(
      self, draw: estimator.Draw) -> series_lib.TabulatedSchedule:
    return series_lib.TabulatedSchedule(
        draw.stop, self.weights(), None, draw.probe.dtype)
