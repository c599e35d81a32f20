"""The log-determinant of the full Jacobian."""

import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import estimator
from tf_resflow.numerics.log_det import jacobian
from tf_resflow.numerics.log_det import series as series_lib


@dataclasses.dataclass(frozen=True)
class Exact(estimator.Estimator):
  """The log-determinant of the full Jacobian, for small events.

  Costs one vector-Jacobian product per dimension of the event and `O(D^3)` for
  the determinant; its gradient is exact as well.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [], tf.ones([5, 2]), numerics.Exact())
    >>> np.allclose(log_det, 2 * np.log(1.5))
    True
  """

  is_random: ClassVar[bool] = False

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: None, *, memory: str = 'recompute',
      series: series_lib.LogDetSeries = series_lib.RESIDUAL,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    del draw, memory
    weights = g.weights(variables, state)
    matrix = jacobian.batch_jacobian(lambda x: g.evaluate(weights, x), x)
    return g.evaluate(weights, x), series.exact(matrix)

  def max_batch_size(self, event_size: int, dtype: tf.DType) -> int:
    return jacobian.max_batch_size(event_size, dtype)
