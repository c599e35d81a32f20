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


class AdaptiveDraw(NamedTuple):
  """What one evaluation of `AdaptiveRoulette` draws.

  Attributes:
    threshold: float64 scalar tensor `T`, uniform on (0, 1]; the series goes on
      while its probability of survival is at least `T`.
    probe: the tensor `v`, shaped like the input `x`.
  """

  threshold: tf.Tensor
  probe: tf.Tensor


class _TabulatedWeights:
  """Weights known beforehand of a series with a number of terms drawn."""

  state = ()

  def __init__(self, draw, value_weights, gradient_weights):
    dtype = draw.probe.dtype
    self._num_terms = draw.num_terms
    self._value_weights = tf.constant(value_weights, dtype)
    self._gradient_weights = tf.constant(gradient_weights, dtype)
    # There are no weights beyond; XLA needs the bound to differentiate loops.
    self.max_terms = value_weights.size - 1

  def continues(self, k, state):
    """Whether term `k` is computed."""
    del state
    return k <= self._num_terms

  def weights(self, k, state):
    """Weights of `<u_k, v>` in the value and of `u_k` in `w`."""
    del state
    return self._value_weights[k], self._gradient_weights[k]

  def advance(self, k, u, state):
    """The state that decides on term `k + 1`, after `u_k`."""
    del k, u
    return state


class _SurvivalWeights:
  """Weights of `AdaptiveRoulette`; the interface of `_TabulatedWeights`."""

  max_terms = None

  def __init__(self, draw, num_exact_terms, tail):
    self._draw = draw
    self._num_exact_terms = num_exact_terms
    self._tail = tail
    dtype = draw.probe.dtype
    # P_k of the next term, and the size of u_1.
    self.state = tf.ones([], dtype), tf.zeros([], dtype)

  def continues(self, k, state):
    del k
    return tf.cast(state[0], tf.float64) >= self._draw.threshold

  def weights(self, k, state):
    c = 1.0 / state[0]
    sign = tf.cast(1 - 2 * (k % 2), c.dtype)
    return -sign * c / tf.cast(k, c.dtype), sign * c

  def advance(self, k, u, state):
    survival, first = state
    # The probability is a constant of the estimate, not a part of it.
    u = tf.stop_gradient(u)
    size = tf.sqrt(tf.reduce_mean(tf.square(u)))
    first = tf.where(k == 1, size, first)
    next_k = tf.cast(k + 1, size.dtype)
    ratio = tf.math.divide_no_nan(size, self._tail * first * next_k)
    is_exact = k + 1 <= self._num_exact_terms
    return tf.where(is_exact, survival, tf.minimum(survival, ratio)), first


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

  Example:
    >>> g_fn = lambda weights, x: 0.5 * x
    >>> x = tf.ones([5, 2])
    >>> estimator = numerics.RussianRoulette(numerics.Geometric(0.5))
    >>> draw = estimator.draw(x, seed=0)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g_fn, [], x, estimator, draw)
    >>> log_det.shape
    TensorShape([5])

  References:
    Chen et al., 2019, Theorems 1 and 2.
  """

  couples_examples = False

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

  def schedule(self, draw):
    """Returns what `series.power_series` asks for weights."""
    return _TabulatedWeights(
        draw, self.value_weights(), self.gradient_weights())

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
class AdaptiveRoulette:
  """The unbiased estimator whose roulette follows the size of the terms.

  Term `k` is computed with the probability of survival `P_k` and, if it is,
  weighted by `c_k = 1 / P_k`. With `s_k` the root mean square of `u_k` over the
  batch,

    P_k = 1                                          for k <= num_exact_terms,
    P_k = min(P_{k-1}, (s_{k-1} / k) / (tail * s_1)) beyond.

  So terms are exact until they are small against the first, whose size is that
  of the noise of the probe, and what is left costs a number of evaluations
  that falls with it. One draw `T`, uniform on (0, 1], decides: the series goes
  on while `P_k >= T`.

  Unbiased: given the probe, all `u_k` and with them all `P_k` are fixed numbers
  (`P_k` needs `u_1, ..., u_{k-1}` only, which are known when it is asked for),
  so `E[1{P_k >= T} / P_k] = 1`, or 0 where `s_{k-1} = 0` and every further term
  vanishes. The sum over `k` may be exchanged with the expectation since
  `|u_k| <= L^k |v|`, `L = Lip(g) < 1`. This holds for the value and for the
  gradient vector, and conditionally on every probe.

  Of finite variance for every `L < 1`: with `a_k = <u_k, v> / k`, the variance
  given the probe is `sum_{k,l} +-a_k a_l (1 / P_min(k,l) - 1)`, at most
  `sum_k |a_k| / P_k (|a_k| + 2 sum_{l>k} |a_l|)`. Where the last minimum takes
  its second argument, `|a_k|/P_k <= tail s_1 |v| |u_k| / s_{k-1}`, at most
  `tail s_1 |v| L sqrt(B D)`, since `|u_k| <= L |u_{k-1}|` for every example;
  and `sum_k |a_k|` converges geometrically. Elsewhere `P_k = P_j` for an
  earlier `j`, and `|u_k| <= L^(k-j) |u_j|`. (A law that is fixed beforehand
  must fall slower than `L^(2k)` instead, and spends terms on blocks that need
  none.)

  The number of terms is shared by the batch, so estimates of one batch are
  correlated, and it depends on the examples in it.

  Args:
    tail: size of a term, relative to the first, below which it is left to
      chance; larger values are faster and have more variance.
    num_exact_terms: number of terms that are always computed, at least 1.
    probe: 'rademacher' or 'gaussian'.

  Example:
    >>> g_fn = lambda weights, x: 0.5 * x
    >>> x = tf.ones([5, 2])
    >>> estimator = numerics.AdaptiveRoulette(tail=0.1)
    >>> draw = estimator.draw(x, seed=0)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g_fn, [], x, estimator, draw)
    >>> log_det.shape
    TensorShape([5])

  References:
    Chen et al., 2019, Theorem 1, for fixed laws; Arvo and Kirk, 1990, Particle
    Transport and Image Synthesis (Russian roulette by size).
  """

  # Examples share the number of terms, which depends on all of them.
  couples_examples = True

  tail: float = 0.05
  num_exact_terms: int = 2
  probe: str = 'rademacher'

  def __post_init__(self):
    _check_probe(self.probe)
    if not 0.0 < self.tail < float('inf'):
      raise ValueError(
          f'tail is {self.tail}; it must be positive and finite.')
    if self.num_exact_terms < 1:
      raise ValueError(
          f'num_exact_terms is {self.num_exact_terms}; it must be 1 or more.')

  def draw(self, x, seed):
    """Draws `T` and `v`; see `RussianRoulette.draw`."""
    seed = random.as_seed(seed)
    threshold = 1.0 - random.uniform_scalar(random.fold_in(seed, 0))
    return AdaptiveDraw(
        threshold, _draw_probe(self.probe, x, random.fold_in(seed, 1)))

  def schedule(self, draw):
    """See `RussianRoulette.schedule`."""
    return _SurvivalWeights(draw, self.num_exact_terms, self.tail)


@dataclasses.dataclass(frozen=True)
class FixedTruncation:
  """The biased estimator of i-ResNets: the first `num_terms` terms.

  `c_k = 1`; the gradient vector sums `k = 0, ..., n - 1`, which is the
  gradient of the n-term value.

  Args:
    num_terms: `n >= 1`.
    probe: 'rademacher' or 'gaussian'.

  Example:
    >>> g_fn = lambda weights, x: 0.5 * x
    >>> x = tf.ones([5, 2])
    >>> estimator = numerics.FixedTruncation(10)
    >>> draw = estimator.draw(x, seed=0)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g_fn, [], x, estimator, draw)
    >>> np.allclose(log_det, 2 * np.log(1.5), atol=1e-3)
    True

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Algorithm 2.
  """

  couples_examples = False

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
    # Not a constant: TensorFlow compiles a function anew for every call with
    # one. Seeds are never negative, so this adds nothing.
    num_terms = self.num_terms + tf.minimum(seed[0], 0)
    return Draw(num_terms, _draw_probe(self.probe, x, seed))

  def schedule(self, draw):
    """See `RussianRoulette.schedule`."""
    return _TabulatedWeights(
        draw, self.value_weights(), self.gradient_weights())

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

  Example:
    >>> y, log_det = numerics.forward_and_log_det(
    ...     lambda weights, x: 0.5 * x, [], tf.ones([5, 2]), numerics.Exact(),
    ...     draw=None)
    >>> np.allclose(log_det, 2 * np.log(1.5))
    True
  """

  def draw(self, x, seed):
    """Draws nothing and returns None."""
    del x, seed
    return None
