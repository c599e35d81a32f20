"""Series of log-determinants in powers of a Jacobian, and their gradients."""

from collections.abc import Callable
import dataclasses
from typing import Any

import tensorflow as tf

from tf_resflow.numerics import differentiation

Vjp = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class LogDetSeries:
  """`log|det|` of a map made of `g`, in traces of powers of `J = dg/dx`.

  With a probe `v`, `E[v v^T] = I`, and `u_k = (J^T)^k v`,

    log_det ~ sum_{k>=1} c_k value_k <., v>,   d log_det ~ w^T dJ v,
    w = start + sum_{k>=1} c_k gradient_k,

  where term `k` is made by `term` out of what the term before left. A bijection
  owns its series, an estimator the weights `c_k` and when to stop.
  """

  def start(self, probe: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns what the first term starts from, and `w` before it."""
    raise NotImplementedError

  def term(self, k: tf.Tensor, u: tf.Tensor, probe: tf.Tensor, vjp_fn: Vjp
           ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Computes term `k`.

    Args:
      k: int32 scalar, from 1.
      u: what the term before left.
      probe: `v`, `[B, ...]`.
      vjp_fn: maps `u` to `J^T u`.

    Returns:
      `u` for the next term; the value of this one, `[B]`; and its share of
      `w`, like `v`, both without the weight `c_k`.
    """
    raise NotImplementedError

  def exact(self, jacobian: tf.Tensor) -> tf.Tensor:
    """Returns the log-determinant `[B]` of Jacobians `[B, D, D]` of `g`."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Residual(LogDetSeries):
  """`log det(I + J) = sum_{k>=1} (-1)^(k+1)/k tr(J^k)`.

  Its gradient vector is `w = sum_{k>=0} (-1)^k c_k u_k`.

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
    identity = tf.eye(jacobian.shape[-1], dtype=jacobian.dtype)
    return tf.linalg.slogdet(identity + jacobian).log_abs_determinant


RESIDUAL = Residual()


def power_series(
    vjp_fn: Vjp, probe: tf.Tensor, schedule: Any,
    series: LogDetSeries = RESIDUAL) -> tuple[tf.Tensor, tf.Tensor]:
  """Runs a series until the schedule ends it.

  Args:
    vjp_fn: maps `u` to `J^T u`.
    probe: `v`, `[B, ...]`.
    schedule: a `schedule.Schedule`, of the draw at hand.
    series: what is summed.

  Returns:
    `value`: `[B]`, the estimate of the log-determinant in nats;
    `w`: like `v`, the vector of its gradient.
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
      parallel_iterations=1, maximum_iterations=schedule.max_terms)
  return value, w
