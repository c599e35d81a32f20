"""Distributions of the random truncation of an infinite series."""

import dataclasses
import math

import numpy as np
from scipy import special
import tensorflow as tf

from tf_resflow.numerics import random

# The uniform that is inverted has 53 random bits: indices whose tail
# probability is below this are never drawn, so tables end there.
_SMALLEST_TAIL = 2.0**-53


class Truncation:
  """A law of the number `N` of series terms kept by Russian roulette.

  Subclasses are frozen dataclasses that give the tail `P(N >= k)` in closed
  form. Sampling inverts the tail: `N = #{k >= 1 : P(N >= k) > u}` with one
  uniform `u`, drawn on the device, so a traced function draws afresh on every
  call.
  """

  def tail(self, k):
    """Returns `P(N >= k)` in float64 for a NumPy array of integers `k >= 0`."""
    raise NotImplementedError

  @property
  def mean(self):
    """Returns `E[N]`."""
    raise NotImplementedError

  def has_finite_variance(self, spectral_radius):
    """Whether roulette over terms of size `spectral_radius**k` has a variance.

    The variance is finite when `sum_k rho^(2k) / P(N >= k)` converges.

    Args:
      spectral_radius: the spectral radius `rho` of the Jacobian of `g`; its
        Lipschitz bound is an upper bound of it.

    Returns:
      A Python bool.
    """
    raise NotImplementedError

  def tail_table(self):
    """Returns `P(N >= k)` for `k = 1, 2, ...` down to 2^-53, float64 `[K]`."""
    size = 8
    while True:
      table = self.tail(np.arange(1, size + 1))
      if table[-1] < _SMALLEST_TAIL:
        return table[:int(np.argmax(table < _SMALLEST_TAIL)) + 1]
      size *= 2

  def sample(self, seed):
    """Draws `N`.

    Args:
      seed: int32 tensor `[2]`, as stateless TensorFlow random ops take it.

    Returns:
      An int32 scalar tensor.
    """
    exceeds = tf.constant(self.tail_table()) > random.uniform_scalar(seed)
    return tf.reduce_sum(tf.cast(exceeds, tf.int32))


@dataclasses.dataclass(frozen=True)
class Geometric(Truncation):
  """`P(N >= k) = (1 - p)^(k - 1)` on {1, 2, ...}.

  The roulette estimator has a finite variance only if `rho^2 < 1 - p`, with
  `rho` the spectral radius of the Jacobian: for a Lipschitz bound of 0.98^3 =
  0.941 that asks for `p < 0.114`. See `largest_safe_probability`.

  Args:
    probability: the success probability `p`, in (0, 1).

  Example:
    >>> numerics.Geometric(0.5).tail([1, 2, 3]).tolist()
    [1.0, 0.5, 0.25]
    >>> numerics.Geometric(0.5).has_finite_variance(spectral_radius=0.9)
    False

  References:
    Chen et al., 2019, Residual Flows, Section 3.1 (p = 0.5).
  """

  probability: float = 0.5

  def __post_init__(self):
    if not 0.0 < self.probability < 1.0:
      raise ValueError(
          f'Geometric: probability is {self.probability}; it must lie strictly '
          'between 0 and 1.')

  @classmethod
  def largest_safe_probability(cls, lipschitz_bound):
    """Returns the supremum of the `p` that give a finite variance.

    Args:
      lipschitz_bound: `Lip(g)`, in (0, 1).

    Returns:
      `1 - lipschitz_bound^2`; choose a `p` strictly below it.
    """
    if not 0.0 < lipschitz_bound < 1.0:
      raise ValueError(
          f'lipschitz_bound is {lipschitz_bound}; it must lie strictly between '
          '0 and 1.')
    return 1.0 - lipschitz_bound**2

  def tail(self, k):
    return (1.0 - self.probability)**(np.maximum(np.asarray(k), 1) - 1.0)

  @property
  def mean(self):
    return 1.0 / self.probability

  def has_finite_variance(self, spectral_radius):
    return spectral_radius**2 < 1.0 - self.probability


@dataclasses.dataclass(frozen=True)
class Poisson(Truncation):
  """`P(N >= k) = igamma(k, r)`, the regularised lower incomplete gamma.

  The tail falls faster than any geometric series (terms of the second moment
  grow like `rho^(2k) k! / r^k`), so the roulette estimator is unbiased but
  has an infinite variance for every `rho > 0`: the standard error of a sample
  of its values says little.

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
    if not (self.rate > 0.0 and math.isfinite(self.rate)):
      raise ValueError(
          f'Poisson: rate is {self.rate}; it must be positive and finite.')

  def tail(self, k):
    k = np.asarray(k)
    positive = special.gammainc(np.maximum(k, 1).astype(np.float64), self.rate)
    return np.where(k <= 0, 1.0, positive)

  @property
  def mean(self):
    return self.rate

  def has_finite_variance(self, spectral_radius):
    return spectral_radius == 0.0
