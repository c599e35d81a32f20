"""No log-determinant, for passes that need none."""

from collections.abc import Sequence
import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import estimator


@dataclasses.dataclass(frozen=True)
class Skip(estimator.Estimator):
  """Takes no log-determinant: `g(x)` and NaN, for latents and features alone.

  Example:
    >>> g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
    >>> y, log_det = numerics.forward_and_log_det(
    ...     g, [], tf.ones([5, 2]), numerics.Skip())
    >>> bool(tf.reduce_all(tf.math.is_nan(log_det)))
    True
  """

  is_random: ClassVar[bool] = False

  def evaluate(
      self, g: residual_function.ResidualFunction, variables: Any, state: Any,
      x: tf.Tensor, draw: None, *, context: Sequence[tf.Tensor] = (),
      **unused: Any) -> tuple[tf.Tensor, tf.Tensor]:
    return (
        g.traced(residual_function.evaluate)(variables, state, x, *context),
        tf.fill([tf.shape(x)[0]], tf.constant(float('nan'), x.dtype)))
