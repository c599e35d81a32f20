"""Exact Jacobians and log-determinants, the oracles of small events."""

import tensorflow as tf


def batch_jacobian(fn, x):
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


def exact_log_det(g_fn, x):
  """Returns `log|det(I + dg/dx)|` from the full Jacobian.

  Args:
    g_fn: maps `[B, ...]` to the same shape, example by example, with
      `Lip(g) < 1` (so the determinant is positive).
    x: `[B, ...]`.

  Returns:
    `[B]`, nats.

  Example:
    >>> log_det = numerics.exact_log_det(lambda x: 0.5 * x, tf.ones([5, 2]))
    >>> np.allclose(log_det, 2 * np.log(1.5))
    True
  """
  jacobian = batch_jacobian(g_fn, x)
  identity = tf.eye(x.shape[1:].num_elements(), dtype=x.dtype)
  return tf.linalg.slogdet(identity + jacobian).log_abs_determinant
