"""A series that is not that of residual blocks, as a reader would add one."""

import dataclasses

import tensorflow as tf

from tests import testing
from tf_resflow import numerics
from tf_resflow.numerics import differentiation
from tf_resflow.numerics.log_det import series as series_lib


@dataclasses.dataclass(frozen=True)
class Odd(numerics.LogDetSeries):
  """That of monotone blocks: `log det(I - J) - log det(I + J)`.

    = -2 sum_{k>=1} tr(J^(2k-1)) / (2k-1),   d = -2 tr((I - J^2)^-1 dJ).

  With `u_k = (J^T)^(2k) v`,

    value_k = -2 / (2k-1) <J^T u_(k-1), v>,   w_k = -2 u_k.

  References:
    Ahn, Kim and Hong, 2022, Invertible Monotone Operators for Normalizing
    Flows.
  """

  def start(self, probe: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return probe, -2.0 * probe

  def term(self, k, u, probe, vjp_fn):
    odd = vjp_fn(u)
    even = vjp_fn(odd)
    value = differentiation.sum_per_example(odd * probe)
    return even, -2.0 / tf.cast(2 * k - 1, u.dtype) * value, -2.0 * even

  def exact(self, jacobian: tf.Tensor) -> tf.Tensor:
    identity = tf.eye(jacobian.shape[-1], dtype=jacobian.dtype)
    return series_lib.log_abs_det(
        identity - jacobian) - series_lib.log_abs_det(identity + jacobian)


def full_log_det(g_fn, weights, x):
  """`log det(I - J) - log det(I + J)`, `[B]`, of the full Jacobian."""
  plus = testing.full_log_det(g_fn, weights, x)
  minus = testing.full_log_det(lambda w, x: -g_fn(w, x), weights, x)
  return minus - plus
