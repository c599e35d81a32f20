"""Exact Jacobians and log-determinants, the oracles of small events."""

from collections.abc import Callable

import tensorflow as tf

from tf_resflow import errors

# A Jacobian of one example that is larger than this is not taken.
_MAX_JACOBIAN_BYTES = 4e9
_MAX_BATCH_BYTES = 1e9


def batch_jacobian(
    fn: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
  """Returns the Jacobian of `fn` for every example.

  Rows are vector-Jacobian products taken one after another, so that memory
  stays that of a single product. Differentiable.

  Args:
    fn: maps `[B, ...]` to `[B, ...]`, example by example.
    x: `[B, ...]` with a static event shape.

  Returns:
    `[B, M, D]`, the derivative of flattened output `m` in flattened input `d`.

  Example:
    >>> numerics.batch_jacobian(tf.square, tf.constant([[1.0, 3.0]])).numpy()
    array([[[2., 0.],
            [0., 6.]]], dtype=float32)
  """
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    y = fn(x)
  batch_size = tf.shape(y)[0]
  output_size = y.shape[1:].num_elements()
  input_size = x.shape[1:].num_elements()

  def row(index):
    basis = tf.one_hot(index, output_size, dtype=y.dtype)
    cotangent = tf.reshape(
        tf.tile(basis[tf.newaxis], [batch_size, 1]), tf.shape(y))
    gradient = tape.gradient(
        y, x, cotangent, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return tf.reshape(gradient, [batch_size, input_size])

  rows = tf.map_fn(
      row, tf.range(output_size),
      fn_output_signature=tf.TensorSpec([None, input_size], x.dtype))
  return tf.transpose(rows, [1, 0, 2])


def max_batch_size(event_size: int, dtype: tf.DType) -> int:
  """Returns how many Jacobians of examples are taken at a time.

  Raises:
    InvalidValueError: if the Jacobian of one example is too large.
  """
  size = event_size**2 * dtype.size
  errors.check(
      size <= _MAX_JACOBIAN_BYTES, 'estimator', 'exact',
      'another one', f'The Jacobian of {event_size} dimensions takes '
      f'{size / 1e9:.0f} GB per example.')
  return max(1, int(_MAX_BATCH_BYTES / size))
