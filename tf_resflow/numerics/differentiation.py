"""Vector-Jacobian products of a pure function of weights and input."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_ZERO = tf.UnconnectedGradients.ZERO


def sum_per_example(x: tf.Tensor) -> tf.Tensor:
  """Sums `[B, ...]` over everything but the batch: `[B]`."""
  return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))


def one_per_example(x: tf.Tensor) -> tf.Tensor:
  """Returns some number of every example, `[B]`: a template of such."""
  return tf.reshape(x, [tf.shape(x)[0], -1])[:, 0]


def linearize(
    g_fn: Callable[[Any, tf.Tensor], tf.Tensor], weights: Any, x: tf.Tensor,
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
  """Evaluates `g` and its linearisation at `x`.

  Args:
    g_fn: pure function `g_fn(weights, x)`.
    weights: nested list of tensors.
    x: `[B, ...]`.

  Returns:
    `g`: `g_fn(weights, x)`;
    `vjp_fn`: maps a cotangent `u`, like `g`, to `J^T u`, like `x`. It may be
    called any number of times, also inside `tf.while_loop`, and is itself
    differentiable.
  """
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    g = g_fn(weights, x)

  def vjp_fn(u):
    return tape.gradient(g, x, u, unconnected_gradients=_ZERO)

  return g, vjp_fn


_DROPPED = (
    'the custom gradient of a residual block was dropped, as tf.vectorized_map '
    'does. Use tfd.JointDistributionCoroutine with Root in place of '
    'tfd.JointDistributionCoroutineAutoBatched.')


def only_custom_gradient(
    outputs: Sequence[tf.Tensor], inputs: Sequence[tf.Tensor],
) -> Sequence[tf.Tensor]:
  """Makes gradients that bypass a custom gradient an error.

  The body of a `tf.custom_gradient` starts from stopped gradients. Where
  TensorFlow drops the custom gradient, there would be zeros and no warning.

  Args:
    outputs: list of tensors, computed in the body of a `tf.custom_gradient`.
    inputs: list of tensors, some that the body was called with.

  Returns:
    Tensors equal to `outputs`.
  """
  if tf.executing_eagerly():
    return outputs  # What drops custom gradients works on graphs.
  # No numbers, only a path in the graph.
  zeros = [
      tf.reduce_sum(tf.raw_ops.PreventGradient(
          input=tf.reshape(t, [-1])[:0], message=_DROPPED)) for t in inputs]
  return [output + tf.add_n(zeros) for output in outputs]


def once_differentiable(
    gradients: Sequence[tf.Tensor], inputs: Sequence[tf.Tensor],
) -> Sequence[tf.Tensor]:
  """Returns `gradients` such that differentiating them again is an error.

  A backward pass that treats the draw of an estimator or the solution of a
  solver as a constant has a wrong derivative of its own; this makes asking for
  it an error where it would otherwise be a wrong number.

  Args:
    gradients: list of tensors.
    inputs: list of tensors that the gradients depend on.

  Returns:
    A tuple of tensors like `gradients`.
  """
  num_gradients = len(gradients)

  @tf.custom_gradient
  def identity(*tensors):

    def backward(*unused_cotangents):
      raise LookupError(
          'This gradient cannot be differentiated again: it treats the draw '
          'of an estimator or the solution of a solver as a constant. For '
          "second derivatives of a log-determinant use memory='naive' or "
          'estimator=Exact().')

    return tuple(tf.identity(t) for t in tensors[:num_gradients]), backward

  return identity(*gradients, *inputs)
