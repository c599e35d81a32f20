"""The exact log-determinant, from the full Jacobian."""

from collections.abc import Sequence
import dataclasses
from typing import Any, ClassVar

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.numerics import differentiation
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.log_det import estimator
from tf_resflow.numerics.log_det import series as series_lib

# Largest Jacobian of one example, in bytes; larger ones are refused.
_MAX_JACOBIAN_BYTES = 4e9
_MAX_BATCH_BYTES = 1e9
# Up to this number, rows are unrolled in the graph, in place of a loop with the
# memory of one.
_MAX_UNROLLED_ROWS = 8


def _rows(vjp_fn, y, x):
  """Returns the Jacobian `[B, M, D]`, by one product for every row."""
  size = y.shape[0]
  batch_size = tf.shape(y)[0] if size is None else size
  output_size = y.shape[1:].num_elements()
  input_size = x.shape[1:].num_elements()

  def row(index):
    cotangent = tf.one_hot(
        tf.fill([batch_size], index), output_size, dtype=y.dtype)
    return tf.reshape(vjp_fn(tf.reshape(
        cotangent, tf.shape(y) if size is None else y.shape)),
                      [batch_size, input_size])

  if output_size <= _MAX_UNROLLED_ROWS:
    return tf.stack([row(i) for i in range(output_size)], axis=1)
  return tf.transpose(tf.map_fn(
      row, tf.range(output_size),
      fn_output_signature=tf.TensorSpec([None, input_size], x.dtype)),
                      [1, 0, 2])


def _value_and_log_det(g, series, weights, x, *context):
  """Returns `g(x)` and the log-determinant."""
  value, vjp_fn = differentiation.linearize(g.evaluate, weights, x, *context)
  return value, series.exact(_rows(vjp_fn, value, x))


@dataclasses.dataclass(frozen=True)
class Exact(estimator.Estimator):
  """The log-determinant of the full Jacobian, for small events.

  Takes one vector-Jacobian product per dimension of the event and `O(D^3)` for
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
      series: series_lib.LogDetSeries = series_lib.RESIDUAL_SERIES,
      context: Sequence[tf.Tensor] = ()) -> tuple[tf.Tensor, tf.Tensor]:
    # Two functions: weights have gradients of their own, whose tensors must not
    # be those of one that `tf.vectorized_map` traces anew. TensorFlow never
    # forgets what has a custom gradient in a graph, so eagerly there is none.
    weights = (g.weights if tf.executing_eagerly() else g.traced(
        residual_function.ResidualFunction.weights))(variables, state)
    return g.traced(_value_and_log_det, series)(weights, x, *context)

  def max_batch_size(self, event_size: int, dtype: tf.DType) -> int:
    size = event_size**2 * dtype.size
    errors.check(
        size <= _MAX_JACOBIAN_BYTES, 'estimator', 'exact',
        problem=f'cannot be used with {event_size} dimensions', advice='The '
        f'Jacobian takes {size / 1e9:.0f} GB per example; use one such as '
        'roulette.')
    return max(1, int(_MAX_BATCH_BYTES / size))
