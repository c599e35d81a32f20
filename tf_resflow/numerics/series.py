"""The truncated series of the log-determinant and of its gradient."""

import tensorflow as tf

from tf_resflow.numerics import differentiation


def power_series(vjp_fn, draw, estimator):
  """Runs the pass over `u_k = (J^T)^k v`.

  Args:
    vjp_fn: maps `u` to `J^T u`.
    draw: what `estimator.draw` returned: when to stop, and `v` `[B, ...]`.
    estimator: one of `estimators` but `Exact`, for the weights.

  Returns:
    `value`: `[B]`, the estimate of the log-determinant in nats;
    `w`: like `v`, the Neumann vector of its gradient.
  """
  probe = draw.probe
  schedule = estimator.schedule(draw)

  def body(k, u, value, w, state):
    u = vjp_fn(u)
    value_weight, gradient_weight = schedule.weights(k, state)
    value += value_weight * differentiation.sum_per_example(u * probe)
    w += gradient_weight * u
    return k + 1, u, value, w, schedule.advance(k, u, state)

  start = (
      tf.constant(1), probe,
      tf.zeros_like(differentiation.sum_per_example(probe)), probe,
      schedule.state)
  _, _, value, w, _ = tf.while_loop(
      lambda k, u, value, w, state: schedule.continues(k, state), body, start,
      parallel_iterations=1, maximum_iterations=schedule.max_terms)
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
