"""Distributions of the random truncation of an infinite series."""

import dataclasses
import math

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import random
from tf_resflow.specs import registries
from tf_resflow.specs import spec

# The uniform that is inverted has 53 random bits: indices whose tail
# probability is below this are never drawn, so tables end there.
_SMALLEST_TAIL = 2.0**-53
_MAX_LOG_TABLE_SIZE = 20


@dataclasses.dataclass(frozen=True)
class TruncationDistribution(spec.Specified):
  """A distribution of the number `N` of series terms kept by Russian roulette.

  Subclasses are frozen dataclasses that define the tail `P(N >= k)` in closed
  form, or a method `for_bound` that returns such a distribution. Sampling
  inverts the tail: `N = #{k >= 1 : P(N >= k) > u}` with one uniform `u`, drawn
  on the device, so a traced function draws anew on every call.

  Roulette over terms of size `rho^k` has a finite variance if
  `sum_k rho^(2k) / P(N >= k)` converges. `rho` is the spectral radius of the
  Jacobian of `g`, at most its Lipschitz bound.
  """

  registry = registries.TRUNCATION_DISTRIBUTIONS

  def for_bound(self, lipschitz_bound: float) -> 'TruncationDistribution':
    """Returns the distribution to use for a `g` with this Lipschitz bound."""
    return self

  def tail(self, k: np.ndarray) -> np.ndarray:
    """Returns `P(N >= k)` in float64 for a NumPy array of integers `k >= 0`."""
    raise errors.InvalidValueError(
        'distribution', self.spec(), 'a distribution with a known tail',
        'Use the one that for_bound(lipschitz_bound) returns.')

  def tail_table(self) -> np.ndarray:
    """Returns `P(N >= k)` for `k = 1, 2, ...` down to 2^-53, float64 `[K]`.

    Raises:
      InvalidValueError: if the tail falls too slowly for a table.
    """
    for log_size in range(3, _MAX_LOG_TABLE_SIZE + 1):
      table = self.tail(np.arange(1, 2**log_size + 1))
      if table[-1] < _SMALLEST_TAIL:
        return table[:int(np.argmax(table < _SMALLEST_TAIL)) + 1]
    raise errors.InvalidValueError(
        'distribution', self.spec(), 'a tail that falls below 2^-53 within '
        f'{2**_MAX_LOG_TABLE_SIZE} terms', 'Use one with a smaller mean.')

  def sample(self, seed: random.SeedLike) -> tf.Tensor:
    """Draws `N`, an int32 scalar; see `random.as_seed` for the seed."""
    return tf.reduce_sum(tf.cast(
        tf.constant(self.tail_table()) > random.uniform_scalar(seed), tf.int32))


@dataclasses.dataclass(frozen=True)
class Geometric(TruncationDistribution):
  """The geometric distribution `P(N >= k) = (1 - p)^(k - 1)` on {1, 2, ...}.

  The roulette estimator has a finite variance only if `rho^2 < 1 - p`, with
  `rho` the spectral radius of the Jacobian: for a Lipschitz bound of 0.98^3 =
  0.941 that requires `p < 0.114`. See `SafeGeometric`.

  Args:
    probability: the success probability `p`, in (0, 1).

  Example:
    >>> numerics.Geometric(0.5).tail([1, 2, 3]).tolist()
    [1.0, 0.5, 0.25]

  References:
    Chen et al., 2019, Residual Flows, Section 3.1 (p = 0.5).
  """

  probability: float = 0.5

  def __post_init__(self):
    errors.check(0.0 < self.probability < 1.0, 'probability',
                 self.probability, 'a number strictly between 0 and 1')

  def tail(self, k: np.ndarray) -> np.ndarray:
    return (1.0 - self.probability)**(np.maximum(np.asarray(k), 1) - 1.0)


@dataclasses.dataclass(frozen=True)
class Poisson(TruncationDistribution):
  """The Poisson distribution: `P(N >= k) = tf.math.igamma(k, r)`.

  The tail falls faster than any geometric series (terms of the second moment
  grow like `rho^(2k) k! / r^k`), so the roulette estimator is unbiased but
  has an infinite variance for every `rho > 0`: standard errors of a finite
  number of estimates say little.

  Args:
    rate: the mean `r > 0`.

  Example:
    >>> numerics.Poisson(2.0).tail([0, 1, 2]).round(3).tolist()
    [1.0, 0.865, 0.594]

  References:
    Chen et al., 2019, Residual Flows: the released training configuration
    uses Poisson(2).
  """

  rate: float = 2.0

  def __post_init__(self):
    errors.check(self.rate > 0.0 and math.isfinite(self.rate), 'rate',
                 self.rate, 'a positive, finite number')

  def tail(self, k: np.ndarray) -> np.ndarray:
    return np.where(np.asarray(k) <= 0, 1.0, special.gammainc(
        np.maximum(k, 1).astype(np.float64), self.rate))


@dataclasses.dataclass(frozen=True)
class SafeGeometric(TruncationDistribution):
  """A geometric distribution with finite variance for any Lipschitz bound.

  `for_bound(L)` returns `Geometric(p)` with `p = share (1 - L^2)`, where `L` is
  the Lipschitz bound of `g`.

  Args:
    share: fraction of the largest safe `p`, in (0, 1).

  Example:
    >>> numerics.SafeGeometric().for_bound(0.9).probability < 1.0 - 0.9**2
    True
  """

  share: float = 0.9

  def __post_init__(self):
    errors.check(0.0 < self.share < 1.0, 'share', self.share,
                 'a number strictly between 0 and 1')

  def for_bound(self, lipschitz_bound: float) -> TruncationDistribution:
    errors.check(0.0 <= lipschitz_bound < 1.0, 'lipschitz_bound',
                 lipschitz_bound, 'a number in [0, 1)')
    return Geometric(self.share * (1.0 - lipschitz_bound**2))
