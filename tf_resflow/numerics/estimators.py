"""Estimators of log|det(I + J)| as values that are passed in.

With `u_k = (J^T)^k v` for a probe `v` (`E[v v^T] = I`), one pass over
`u_0, ..., u_n` gives

  value            log_det ~ sum_{k=1..n} (-1)^(k+1)/k * c_k * <u_k, v>
  gradient vector  w       = sum_{k=0..n} (-1)^k * c_k * u_k,
                   d log_det ~ w^T dJ v

(Chen et al., 2019, Theorems 1 and 2). The estimators here say how `n` is
drawn and what the coefficients `c_k` are; `residual.py` runs the pass.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow.numerics import random
from tf_resflow.numerics import truncation

_PROBES = {'rademacher': random.rademacher, 'gaussian': random.normal}


class Draw(NamedTuple):
  """What one evaluation of a series estimator draws.

  Attributes:
    num_terms: int32 scalar tensor, the `n` of the series, shared by the batch.
    probe: the tensor `v`, shaped like the input `x`.
  """

  num_terms: tf.Tensor
  probe: tf.Tensor


def _check_probe(probe):
  if probe not in _PROBES:
    raise ValueError(
        f'probe is {probe!r}; expected one of {sorted(_PROBES)}.')


def _draw_probe(probe, x, seed):
  return _PROBES[probe](tf.shape(x), seed, dtype=x.dtype)


@dataclasses.dataclass(frozen=True)
class RussianRoulette:
  """The unbiased estimator: exact terms, then a random truncation.

  `n = num_exact_terms + N`; `c_k = 1` for `k <= num_exact_terms`, otherwise
  `1 / P(N >= k - num_exact_terms)`. Value and gradient are unbiased for every
  law of `N` whose tail is positive; whether their variance is finite depends
  on the law, see `truncation`.

  Args:
    distribution: the law of `N`.
    num_exact_terms: number of terms that are always computed.
    probe: 'rademacher' (+-1 entries, the lower variance) or 'gaussian' (as in
      the paper).

  References:
    Chen et al., 2019, Theorems 1 and 2.
  """

  distribution: truncation.Truncation = truncation.Poisson(2.0)
  num_exact_terms: int = 2
  probe: str = 'rademacher'

  def __post_init__(self):
    _check_probe(self.probe)
    if self.num_exact_terms < 0:
      raise ValueError(
          f'num_exact_terms is {self.num_exact_terms}; it must be 0 or more.')

  def draw(self, x, seed):
    """Draws `n` and `v`.

    Args:
      x: `[B, ...]`, gives the shape and dtype of the probe.
      seed: None, a Python int or an int32 tensor `[2]`. `n` depends on the
        seed alone, so replicas that share it do equal work.

    Returns:
      A `Draw`.
    """
    seed = random.as_seed(seed)
    num_terms = self.num_exact_terms + self.distribution.sample(
        random.fold_in(seed, 0))
    return Draw(num_terms, _draw_probe(self.probe, x, random.fold_in(seed, 1)))

  def weights(self):
    """Returns `c_k` for `k = 0, ..., K`, float64 NumPy array."""
    tail = self.distribution.tail_table()
    return np.concatenate([np.ones(self.num_exact_terms + 1), 1.0 / tail])

  def value_weights(self):
    """Returns the weight of `<u_k, v>` in the value, for `k = 0, ..., K`."""
    weights = self.weights()
    k = np.arange(weights.size)
    return np.where(k == 0, 0.0, (-1.0)**(k + 1) / np.maximum(k, 1) * weights)

  def gradient_weights(self):
    """Returns the weight of `u_k` in `w`, for `k = 0, ..., K`."""
    weights = self.weights()
    return (-1.0)**np.arange(weights.size) * weights


@dataclasses.dataclass(frozen=True)
class FixedTruncation:
  """The biased estimator of i-ResNets: the first `num_terms` terms.

  `c_k = 1`; the gradient vector sums `k = 0, ..., n - 1`, which is the
  gradient of the n-term value.

  Args:
    num_terms: `n >= 1`.
    probe: 'rademacher' or 'gaussian'.

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Algorithm 2.
  """

  num_terms: int = 10
  probe: str = 'rademacher'

  def __post_init__(self):
    _check_probe(self.probe)
    if self.num_terms < 1:
      raise ValueError(
          f'num_terms is {self.num_terms}; it must be 1 or more.')

  def draw(self, x, seed):
    """Draws `v`; see `RussianRoulette.draw`."""
    seed = random.fold_in(random.as_seed(seed), 1)
    return Draw(
        tf.constant(self.num_terms, tf.int32),
        _draw_probe(self.probe, x, seed))

  def value_weights(self):
    """Returns the weight of `<u_k, v>` in the value, for `k = 0, ..., n`."""
    k = np.arange(self.num_terms + 1)
    return np.where(k == 0, 0.0, (-1.0)**(k + 1) / np.maximum(k, 1))

  def gradient_weights(self):
    """Returns the weight of `u_k` in `w`, for `k = 0, ..., n`."""
    weights = (-1.0)**np.arange(self.num_terms + 1)
    weights[-1] = 0.0
    return weights


@dataclasses.dataclass(frozen=True)
class Exact:
  """log|det(I + J)| from the full Jacobian, for small events.

  Costs one vector-Jacobian product per dimension of the event and
  `O(D^3)` for the determinant; its gradient is exact as well.
  """

  def draw(self, x, seed):
    """Draws nothing and returns None."""
    del x, seed
    return None
