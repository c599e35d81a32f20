"""The truncated series of the log-determinant and of its gradient."""

import tensorflow as tf

from tf_resflow.numerics import differentiation


def power_series(vjp_fn, draw, estimator):
  """Runs the pass over `u_k = (J^T)^k v`.

  Args:
    vjp_fn: maps `u` to `J^T u`.
    draw: an `estimators.Draw`: `n` and `v` `[B, ...]`.
    estimator: `RussianRoulette` or `FixedTruncation`, for the weights.

  Returns:
    `value`: `[B]`, the estimate of the log-determinant in nats;
    `w`: like `v`, the Neumann vector of its gradient.
  """
  num_terms, probe = draw
  value_weights = tf.constant(estimator.value_weights(), probe.dtype)
  gradient_weights = tf.constant(estimator.gradient_weights(), probe.dtype)

  def body(k, u, value, w):
    u = vjp_fn(u)
    value += value_weights[k] * differentiation.sum_per_example(u * probe)
    w += gradient_weights[k] * u
    return k + 1, u, value, w

  state = (
      tf.constant(1), probe,
      tf.zeros_like(differentiation.sum_per_example(probe)),
      gradient_weights[0] * probe)
  # There are no weights beyond; XLA needs the bound to differentiate the loop.
  max_terms = int(value_weights.shape[0]) - 1
  _, _, value, w = tf.while_loop(
      lambda k, *_: k <= num_terms, body, state, parallel_iterations=1,
      maximum_iterations=max_terms)
  return value, w


def surrogate(g_fn, weights, x, v, w):
  """Returns `g(x)` and `w^T J v`, whose gradient is that of the log-det.

  The value means nothing; only its gradient at constant `v` and `w` does.

  Args:
    g_fn: pure function `g_fn(weights, x)`.
    weights: list of tensors.
    x: `[B, ...]`.
    v: like `x`, the probe.
    w: like `x`, the Neumann vector of `power_series`.

  Returns:
    `g`: like `x`; the surrogate: `[B]`.
  """
  g, vjp_fn = differentiation.linearize(g_fn, weights, x)
  return g, differentiation.sum_per_example(vjp_fn(w) * v)
