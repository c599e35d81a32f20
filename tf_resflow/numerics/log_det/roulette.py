"""Russian roulette: estimators with exact terms, then a random truncation.

The truncation has a fixed distribution, or adapts to the size of the terms.
"""

import dataclasses
from typing import Any, Self

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import random
from tf_resflow.numerics.log_det import estimator
from tf_resflow.numerics.log_det import series as series_lib
from tf_resflow.numerics.log_det import truncation_distributions
from tf_resflow.specs import spec


@dataclasses.dataclass(frozen=True)
class RussianRoulette(estimator.SeriesEstimator):
  """The unbiased estimator: exact terms, then a random truncation.

  `n = num_exact_terms + N`; `c_k = 1` for `k <= num_exact_terms`, otherwise
  `1 / P(N >= k - num_exact_terms)`. Value and gradient are unbiased for every
  distribution of `N` whose tail is positive; whether their variance is finite
  depends on the distribution, see `truncation_distributions`.

  Several draws of `N` at one probe are averaged by averaging their weights,
  `c_k` times the share of the draws that reach `k`: one series, as long as the
  longest. The variance given the probe falls by the number of draws.

  Args:
    distribution: the distribution of `N`.
    num_exact_terms: number of terms that are always computed.
    num_samples: number of independent draws of `N` that are averaged.
    probe: see `SeriesEstimator`.

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

  distribution: truncation_distributions.TruncationDistribution = (
      truncation_distributions.Poisson(2.0))
  num_exact_terms: int = spec.option(2, 'exact')
  num_samples: int = spec.option(1, 'samples')

  def __post_init__(self):
    super().__post_init__()
    errors.check(self.num_exact_terms >= 0, 'num_exact_terms',
                 self.num_exact_terms, 'a number >= 0')
    errors.check(self.num_samples >= 1, 'num_samples', self.num_samples,
                 'a number >= 1')

  def for_bound(self, lipschitz_bound: float) -> Self:
    return dataclasses.replace(
        self, distribution=self.distribution.for_bound(lipschitz_bound))

  def draw_stop(self, seed: random.Seed) -> tf.Tensor | tuple[tf.Tensor, ...]:
    if self.num_samples == 1:
      return self.num_exact_terms + self.distribution.sample(seed)
    return tuple(
        self.num_exact_terms + self.distribution.sample(random.fold_in(seed, i))
        for i in range(self.num_samples))

  def weights(self) -> np.ndarray:
    """Returns `c_k` for `k = 0, ..., K`, float64."""
    return np.concatenate(
        [np.ones(self.num_exact_terms + 1),
         1.0 / self.distribution.tail_table()])

  def schedule(self, draw: estimator.Draw) -> series_lib.TabulatedSchedule:
    return series_lib.TabulatedSchedule(
        draw.stop, self.weights(), None, draw.probe.dtype)


class SurvivalSchedule(series_lib.Schedule):
  """The weights of one draw of an `AdaptiveRoulette`."""

  def __init__(self, draw: estimator.Draw, estimator: 'AdaptiveRoulette'):
    self._draw, self._estimator = draw, estimator
    # P_k of the next term, and the size of u_1; each for the batch, or for
    # every example.
    zeros = tf.zeros_like(self._size(draw.probe))
    self.state = tf.ones_like(zeros), zeros

  def _size(self, u):
    """Root mean square over the batch, `[]`, or per example, `[B, 1...]`."""
    is_shared = self._estimator.batch_dependent
    return tf.sqrt(tf.reduce_mean(
        tf.square(u), None if is_shared else list(range(1, u.shape.rank)),
        keepdims=not is_shared))

  def _survives(self, state):
    return tf.cast(state[0], tf.float64) >= self._draw.stop

  def continues(self, k: tf.Tensor, state: Any) -> tf.Tensor:
    return tf.reduce_any(self._survives(state))

  def weights(self, k: tf.Tensor, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
    # The series of an example ends where others go on.
    c = tf.where(self._survives(state), 1.0 / state[0], 0.0)
    return tf.reshape(c, [-1]), c

  def advance(self, k: tf.Tensor, u: tf.Tensor, state: Any) -> Any:
    survival, first = state
    # The probability is a constant of the estimate, not a part of it.
    size = self._size(tf.stop_gradient(u))
    first = tf.where(k == 1, size, first)
    ratio = tf.math.divide_no_nan(
        size, self._estimator.tail * first * tf.cast(k + 1, size.dtype))
    return tf.where(
        k + 1 <= self._estimator.num_exact_terms, survival,
        tf.minimum(survival, ratio)), first


@dataclasses.dataclass(frozen=True)
class AdaptiveRoulette(estimator.SeriesEstimator):
  """The unbiased estimator whose truncation adapts to the size of the terms.

  Term `k` is computed with the probability of survival `P_k` and, if it is,
  weighted by `c_k = 1 / P_k`. With `s_k` the root mean square of `u_k` over the
  batch,

    P_k = 1                                          for k <= num_exact_terms,
    P_k = min(P_{k-1}, (s_{k-1} / k) / (tail * s_1)) beyond.

  So terms are exact until they are small relative to the first, whose size is
  that of the noise of the probe, and the smaller a later term is, the less
  likely it is computed. One draw `T`, uniform on (0, 1], decides: the series
  goes on while `P_k >= T`.

  Unbiased: given the probe, all `u_k` and with them all `P_k` are fixed numbers
  (`P_k` needs `u_1, ..., u_{k-1}` only, which are known by then),
  so `E[1{P_k >= T} / P_k] = 1`, or 0 where `s_{k-1} = 0` and every further term
  vanishes. The sum over `k` may be exchanged with the expectation since
  `|u_k| <= L^k |v|`, `L = Lip(g) < 1`. This holds for the value and for the
  gradient vector, and conditionally on every probe.

  Finite variance for every `L < 1`: with `a_k = <u_k, v> / k`, the variance
  given the probe is `sum_{k,l} +-a_k a_l (1 / P_min(k,l) - 1)`, at most
  `sum_k |a_k| / P_k (|a_k| + 2 sum_{l>k} |a_l|)`. Where the last minimum takes
  its second argument, `|a_k|/P_k <= tail s_1 |v| |u_k| / s_{k-1}`, at most
  `tail s_1 |v| L sqrt(B D)`, since `|u_k| <= L |u_{k-1}|` for every example;
  and `sum_k |a_k|` converges geometrically. Elsewhere `P_k = P_j` for an
  earlier `j`, and `|u_k| <= L^(k-j) |u_j|`. (A distribution that is fixed
  beforehand must fall slower than `L^(2k)` instead, and spends terms on blocks
  that need none.)

  The threshold is shared by the batch, so estimates of one batch are
  correlated. With `batch_dependent` the number of terms is shared as well, and
  depends on the examples in it. Without, `s_k` is that of an example, whose
  estimate then does not depend on the others; the loop goes on until the last
  example ends. All of the above holds with `B = 1`.

  Args:
    tail: size of a term, relative to the first, below which it is computed at
      random; larger values are faster and have more variance.
    num_exact_terms: number of terms that are always computed, at least 1.
    probe: see `SeriesEstimator`.
    batch_dependent: whether the examples of a batch share the number of terms.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
    >>> estimator = numerics.AdaptiveRoulette(tail=0.1)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [], tf.ones([5, 2]), estimator, seed=0)
    >>> log_det.shape, estimator.spec()
    (TensorShape([5]), 'adaptive:0.1')

  References:
    Chen et al., 2019, Theorem 1, for fixed distributions; Arvo and Kirk, 1990,
    Particle Transport and Image Synthesis (Russian roulette by size).
  """

  tail: float = 0.05
  num_exact_terms: int = spec.option(2, 'exact')
  batch_dependent: bool = spec.option(True, 'batch_dependent')

  def __post_init__(self):
    super().__post_init__()
    errors.check(0.0 < self.tail < float('inf'), 'tail', self.tail,
                 'a positive, finite number')
    errors.check(self.num_exact_terms >= 1, 'num_exact_terms',
                 self.num_exact_terms, 'a number >= 1')

  def per_example(self) -> Self:
    return dataclasses.replace(self, batch_dependent=False)

  def draw_stop(self, seed: random.Seed) -> tf.Tensor:
    return 1.0 - random.uniform_scalar(seed)

  def schedule(self, draw: estimator.Draw) -> SurvivalSchedule:
    return SurvivalSchedule(draw, self)
