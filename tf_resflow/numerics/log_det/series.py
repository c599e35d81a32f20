"""Series of log-determinants in powers of a Jacobian, and their truncation."""

import abc
from collections.abc import Callable
import dataclasses
import math
from typing import Any

import numpy as np
import tensorflow as tf

from tf_resflow import private_apis
from tf_resflow.numerics import differentiation

Vjp = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class LogDetSeries(abc.ABC):
  """A log-determinant as a sum of traces of powers of `J = dg/dx`.

  The terms `k = 1, 2, ...` belong to the bijection that is made of `g`; how
  many of them are computed, and with which weights `c_k`, is up to the
  estimator. One random vector `v` with `E[v v^T] = I`, the probe, estimates
  the log-determinant and its derivative in anything that `J` depends on:

    log_det   = E[ sum_{k>=1} c_k value_k ],
    d log_det = E[ w^T dJ v ],   w = w_0 + sum_{k>=1} c_k w_k.

  `value_k` is a number, `w_k` a vector like `v`. Both are computed by
  vector-Jacobian products along a sequence of vectors `u_0, u_1, ...`: `start`
  returns `u_0` and `w_0`, and `term` computes `u_k`, `value_k` and `w_k` from
  `u_{k-1}`.

  With `c_k = 1` both equations hold when all terms are summed. The first `n`
  values, `value_1 + ... + value_n`, have the gradient vector
  `w_0 + ... + w_{n-1}`, as in `FixedTruncation`. The size of `u_k` must fall
  with `k` as that of the terms does, and be zero only if all later terms
  vanish, since `AdaptiveRoulette` depends on it.
  """

  def rate(self, lipschitz_bound: float) -> float:
    """Returns the asymptotic bound of the ratio of successive terms."""
    return lipschitz_bound

  @abc.abstractmethod
  def start(self, probe: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `u_0` and `w_0`, each like the probe `v`, `[B, ...]`."""

  @abc.abstractmethod
  def term(self, k: tf.Tensor, u: tf.Tensor, probe: tf.Tensor, vjp_fn: Vjp
           ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes term `k`, without its weight `c_k`.

    Args:
      k: int32 scalar, from 1.
      u: `u_{k-1}`, `[B, ...]`.
      probe: `v`, `[B, ...]`.
      vjp_fn: maps `u` to `J^T u`, example by example.

    Returns:
      `u_k`, `[B, ...]`; `value_k`, `[B]`, nats; `w_k`, `[B, ...]`.
    """

  @abc.abstractmethod
  def exact(self, jacobian: tf.Tensor) -> tf.Tensor:
    """Returns the log-determinant, `[B]`, of the full `J`, `[B, D, D]`."""


def log_abs_det(matrix: tf.Tensor) -> tf.Tensor:
  """Returns `log|det A|`, `[B]`, of matrices `[B, D, D]`.

  Up to `D = 2` by the formula, which is faster and as accurate as elimination:
  both lose digits in proportion to the condition number. XLA does not compile
  TensorFlow's determinants: there, by a QR decomposition, which takes up to
  three times as long. NaN for a matrix that is not finite.
  """
  size = matrix.shape[-1]
  if size > 2 and private_apis.is_compiled():
    # Not `diag_part`, whose gradient asks for a size that loops do not know.
    diagonal = tf.reduce_sum(
        tf.linalg.qr(matrix).r * tf.eye(size, dtype=matrix.dtype), axis=-1)
    return tf.reduce_sum(tf.math.log(tf.abs(diagonal)), axis=-1)
  if size > 2:
    # The gradient inverts, which fails for the whole batch if one is NaN.
    is_finite = tf.reduce_all(
        tf.math.is_finite(matrix), axis=[1, 2], keepdims=True)
    log_det = tf.linalg.slogdet(tf.where(
        is_finite, matrix, tf.eye(size, dtype=matrix.dtype)
    )).log_abs_determinant
    return tf.where(
        is_finite[:, 0, 0], log_det, tf.constant(math.nan, log_det.dtype))
  det = matrix[:, 0, 0]
  if size == 2:
    det = det * matrix[:, 1, 1] - matrix[:, 0, 1] * matrix[:, 1, 0]
  return tf.math.log(tf.abs(det))


@dataclasses.dataclass(frozen=True)
class ResidualSeries(LogDetSeries):
  """Residual blocks: `log det(I + J) = sum_{k>=1} (-1)^(k+1) / k tr(J^k)`.

  With `u_k = (J^T)^k v`,

    value_k = (-1)^(k+1) / k <u_k, v>,   w_k = (-1)^k u_k.

  References:
    Chen et al., 2019, Theorems 1 and 2.
  """

  def start(self, probe: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return probe, probe

  def term(self, k: tf.Tensor, u: tf.Tensor, probe: tf.Tensor, vjp_fn: Vjp
           ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    u = vjp_fn(u)
    sign = tf.cast(1 - 2 * (k % 2), u.dtype)
    value = differentiation.sum_per_example(u * probe)
    return u, -sign / tf.cast(k, u.dtype) * value, sign * u

  def exact(self, jacobian: tf.Tensor) -> tf.Tensor:
    return log_abs_det(
        tf.eye(jacobian.shape[-1], dtype=jacobian.dtype) + jacobian)


@dataclasses.dataclass(frozen=True)
class OddSeries(LogDetSeries):
  """Monotone blocks: the series of `log det(I - J) - log det(I + J)`.

    = -2 sum_{k>=1} tr(J^(2k-1)) / (2k-1),   d = -2 tr((I - J^2)^-1 dJ).

  With `u_k = (J^T)^(2k) v`,

    value_k = -2 / (2k-1) <J^T u_(k-1), v>,   w_k = -2 u_k.

  A term takes two products, and terms fall like `Lip(g)^(2 k)`.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
    >>> _, log_det = numerics.forward_and_log_det(
    ...     g, [], tf.ones([5, 2]), numerics.Exact(),
    ...     series=numerics.OddSeries())
    >>> np.allclose(log_det, 2 * np.log(0.5 / 1.5))
    True

  References:
    Ahn, Kim and Hong, 2022, Invertible Monotone Operators for Normalizing
    Flows.
  """

  def rate(self, lipschitz_bound: float) -> float:
    return lipschitz_bound**2

  def start(self, probe: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return probe, -2.0 * probe

  def term(self, k: tf.Tensor, u: tf.Tensor, probe: tf.Tensor, vjp_fn: Vjp
           ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    odd = vjp_fn(u)
    even = vjp_fn(odd)
    value = differentiation.sum_per_example(odd * probe)
    return even, -2.0 / tf.cast(2 * k - 1, u.dtype) * value, -2.0 * even

  def exact(self, jacobian: tf.Tensor) -> tf.Tensor:
    identity = tf.eye(jacobian.shape[-1], dtype=jacobian.dtype)
    return log_abs_det(identity - jacobian) - log_abs_det(identity + jacobian)


RESIDUAL_SERIES = ResidualSeries()


class Schedule(abc.ABC):
  """The weights `c_k` of one draw, and where the series ends.

  Attributes:
    state: structure of tensors that decides on a term, before the first one.
    max_terms: largest number of terms, a Python int or None. XLA needs it to
      differentiate loops.
  """

  state: Any = ()
  max_terms: int | None = None

  @abc.abstractmethod
  def continues(self, k: tf.Tensor, state: Any) -> tf.Tensor:
    """Returns whether term `k` is computed."""

  @abc.abstractmethod
  def weights(self, k: tf.Tensor, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `c_k` of the value and `c_k` of the gradient vector."""

  def advance(self, k: tf.Tensor, u: tf.Tensor, state: Any) -> Any:
    """Returns the state that decides on term `k + 1`, after `u_k`."""
    return state


class TabulatedSchedule(Schedule):
  """Weights that are known in advance, for a random number of terms.

  Several numbers, whose weights of value and gradient vector are equal, are
  averaged: the weight of a term is multiplied by the fraction of the numbers
  that reach it, so that the series runs once, to the largest of them.

  Args:
    num_terms: int32 scalar, or a tuple of them.
    weights: NumPy array, `c_k` of the value for `k = 0, 1, ...`.
    gradient_weights: the same of the gradient vector; None if they are equal.
    dtype: of the weights.

  Example:
    >>> schedule = numerics.TabulatedSchedule(
    ...     tf.constant(2), np.array([1.0, 1.0, 4.0]), None, tf.float32)
    >>> [float(weight) for weight in schedule.weights(2, schedule.state)]
    [4.0, 4.0]
  """

  def __init__(
      self, num_terms: tf.Tensor | tuple[tf.Tensor, ...], weights: np.ndarray,
      gradient_weights: np.ndarray | None, dtype: tf.DType):
    self._numbers = tf.stack(num_terms) if isinstance(
        num_terms, tuple) else None
    self._num_terms = num_terms if self._numbers is None else tf.reduce_max(
        self._numbers)
    self._weights = tf.constant(weights, dtype)
    self._gradient_weights = self._weights if gradient_weights is None else (
        tf.constant(gradient_weights, dtype))
    self.max_terms = weights.size - 1

  def continues(self, k: tf.Tensor, state: Any) -> tf.Tensor:
    return k <= self._num_terms

  def weights(self, k: tf.Tensor, state: Any) -> tuple[tf.Tensor, tf.Tensor]:
    weight = self._weights[k]
    if self._numbers is None:
      return weight, self._gradient_weights[k]
    weight *= tf.reduce_mean(tf.cast(self._numbers >= k, weight.dtype))
    return weight, weight


def power_series(
    vjp_fn: Vjp, probe: tf.Tensor, schedule: Schedule,
    series: LogDetSeries = RESIDUAL_SERIES) -> tuple[tf.Tensor, tf.Tensor]:
  """Sums the terms of a series until the schedule ends it.

  Args:
    vjp_fn: maps `u` to `J^T u`, example by example.
    probe: `v`, `[B, ...]`.
    schedule: the weights `c_k` of a draw.
    series: the series to sum.

  Returns:
    The estimate of the log-determinant, `[B]`, nats; and the gradient vector
    `w`, like `v`.
  """

  def body(k, u, value, w, state):
    u, value_term, w_term = series.term(k, u, probe, vjp_fn)
    value_weight, w_weight = schedule.weights(k, state)
    return (k + 1, u, value + value_weight * value_term, w + w_weight * w_term,
            schedule.advance(k, u, state))

  u, w = series.start(probe)
  start = (
      tf.constant(1), u, tf.zeros_like(differentiation.sum_per_example(probe)),
      w, schedule.state)
  _, _, value, w, _ = tf.while_loop(
      lambda k, u, value, w, state: schedule.continues(k, state), body, start,
      parallel_iterations=1, maximum_iterations=schedule.max_terms,
      name='log_det_series')
  return value, w
