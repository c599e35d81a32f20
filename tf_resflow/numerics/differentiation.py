"""Vector-Jacobian products, and custom gradients that cannot be bypassed."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def sum_per_example(x: tf.Tensor) -> tf.Tensor:
  """Sums `[B, ...]` over everything but the batch: `[B]`."""
  return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))


def linearize(
    g_fn: Callable[..., tf.Tensor], weights: Any, x: tf.Tensor,
    *context: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
  """Evaluates `g = g_fn(weights, x, *context)` and its linearisation at `x`.

  Returns:
    `g`, and a function that maps a cotangent `u`, like `g`, to `J^T u`, like
    `x`. It may be called any number of times, also inside `tf.while_loop`, and
    is itself differentiable.
  """
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    g = g_fn(weights, x, *context)

  def vjp_fn(u):
    product = tape.gradient(g, x, u, unconnected_gradients='zero')
    product.set_shape(x.shape)  # Gradients of some operations forget it.
    return product

  return g, vjp_fn


def elementwise(
    derivatives: Callable[[tf.Tensor], tuple[
        tf.Tensor, tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]],
) -> Callable[[tf.Tensor], tf.Tensor]:
  """Returns an elementwise function that is cheap to differentiate often.

  A log-determinant takes many vector-Jacobian products at one point. The
  derivative is a tensor of the linearisation, so each of them costs one
  product.

  Args:
    derivatives: maps a tensor to the values and the derivatives there, and to a
      function that multiplies with the second derivatives.
  """

  @tf.custom_gradient
  def function(x):
    y, derivative, times_second = derivatives(x)

    # A gradient of its own: in one with the values, theirs would be zeros that
    # are multiplied and added all the same.
    @tf.custom_gradient
    def slope_at(unused_x):
      return derivative, times_second

    slope = slope_at(x)
    return y, lambda dy: dy * slope

  return function


def with_gradient(body: Callable, *inputs: Any) -> tuple[tf.Tensor, ...]:
  """Evaluates `body(*inputs)` with the custom gradient that `body` returns.

  Args:
    body: returns a list of outputs, a list of diagnostics without a gradient,
      and a function from the cotangents of all of these to the gradients,
      structured like the inputs. No other gradient flows: the inputs are
      stopped.
    *inputs: nested lists of tensors, the first one a tensor.

  Returns:
    The outputs and the diagnostics, differentiable once.
  """

  @tf.custom_gradient
  def forward(*inputs):
    # An outer tape records nothing that starts from a stopped gradient.
    outputs, diagnostics, gradients_fn = body(
        *tf.nest.map_structure(tf.stop_gradient, inputs))
    flat = tf.nest.flatten(inputs)
    first, variables, *others = inputs
    # Other inputs may be constants, or frozen.
    guarded = [first, *tf.nest.flatten(variables)[:1], *tf.nest.flatten(others)]

    def backward(*cotangents):
      return _once_differentiable(
          tf.nest.flatten(gradients_fn(*cotangents)), flat)

    return (*_only_custom_gradient(outputs, guarded), *diagnostics), backward

  return forward(*inputs)


def _only_custom_gradient(outputs: Sequence[tf.Tensor],
                          inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
  """Makes gradients that bypass a custom gradient an error.

  The body of a `tf.custom_gradient` starts from stopped gradients. Where
  TensorFlow drops the custom gradient, there would be zeros and no warning.
  """
  if tf.executing_eagerly():
    return outputs  # Custom gradients are dropped in graphs only.
  # An empty tensor, for a path in the graph.
  nothing, axis = tf.zeros([0], tf.int32), tf.constant(0)
  zero = tf.add_n([
      tf.reduce_sum(tf.raw_ops.PreventGradient(
          input=tf.raw_ops.GatherV2(
              params=t if t.shape.rank else tf.expand_dims(t, 0),
              indices=nothing, axis=axis),
          message=(
              'the custom gradient of a residual block was dropped, as '
              'tf.vectorized_map does. Use tfd.JointDistributionCoroutine with '
              'Root in place of tfd.JointDistributionCoroutineAutoBatched.')))
      for t in inputs])
  return [output + zero for output in outputs]


@tf.custom_gradient
def _once_differentiable(gradients: Sequence[tf.Tensor],
                         inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
  """Returns `gradients` such that differentiating them again is an error.

  A backward pass that treats the random draw of an estimator or the solution of
  a solver as a constant has a wrong derivative itself; this raises an error in
  place of returning it.
  """

  def backward(*unused_cotangents):
    raise LookupError(
        'This gradient cannot be differentiated again: it treats the draw '
        'of an estimator or the solution of a solver as a constant. For '
        "second derivatives of a log-determinant use memory='naive' or "
        'estimator=Exact().')

  return gradients, backward
