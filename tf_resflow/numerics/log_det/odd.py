"""The series of monotone blocks."""

from collections.abc import Callable
import dataclasses

import tensorflow as tf

from tf_resflow.numerics import differentiation
from tf_resflow.numerics.log_det import series


@dataclasses.dataclass(frozen=True)
class Odd(series.LogDetSeries):
  """That of monotone blocks: `log det(I - J) - log det(I + J)`.

    = -2 sum_{k>=1} tr(J^(2k-1)) / (2k-1),   d = -2 tr((I - J^2)^-1 dJ).

  With `u_k = (J^T)^(2k) v`,

    value_k = -2 / (2k-1) <J^T u_(k-1), v>,   w_k = -2 u_k.

  A term takes two products, and is `Lip(g)^2` of the one before it.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
    >>> _, log_det = numerics.forward_and_log_det(
    ...     g, [], tf.ones([5, 2]), numerics.Exact(), series=numerics.Odd())
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

  def term(self, k: tf.Tensor, u: tf.Tensor, probe: tf.Tensor,
           vjp_fn: Callable[[tf.Tensor], tf.Tensor]
           ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    odd = vjp_fn(u)
    even = vjp_fn(odd)
    value = differentiation.sum_per_example(odd * probe)
    return even, -2.0 / tf.cast(2 * k - 1, u.dtype) * value, -2.0 * even

  def exact(self, jacobian: tf.Tensor) -> tf.Tensor:
    identity = tf.eye(jacobian.shape[-1], dtype=jacobian.dtype)
    return series.log_abs_det(
        identity - jacobian) - series.log_abs_det(identity + jacobian)
