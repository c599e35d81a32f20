"""Expectations without sampling.

Over probes: those of the `D` probes `sqrt(D) e_i`, whose mean outer product is
the identity, which is all that the mean of a quadratic form depends on. Over
everything else that is drawn: those of all outcomes, weighted by their
probabilities.
"""

import numpy as np
import tensorflow as tf

from tests import testing
from tf_resflow import numerics

# Of the log-determinant; no weight for that of the first example.
_DLOG_DET = np.array([0.0, 1.5, -0.7])


def cotangents(x, per_example=True):
  """Returns cotangents of `y` and of the log-determinant of three examples."""
  dy = np.random.default_rng(7).normal(size=x.shape)
  dlog_det = _DLOG_DET if per_example else np.full([3], -0.7)
  return [tf.constant(dy, x.dtype), tf.constant(dlog_det, x.dtype)]


def all_probes(x):
  """Returns the probes of every example, `[D * B, ...]`, examples last."""
  batch, size = x.shape[0], x.shape[1:].num_elements()
  probes = tf.repeat(np.sqrt(size) * tf.eye(size, dtype=x.dtype), batch, 0)
  return tf.reshape(probes, [size * batch, *x.shape[1:]])


def vectors(g_fn, weights, x, probes, stride=1, num_terms=45):
  """Returns `u_k = (J^T)^(stride * k) v`, `k = 1, ..., K`, `[K, B, D]`."""
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  jacobian = np.linalg.matrix_power(jacobian, stride)
  u, result = probes.numpy().reshape([x.shape[0], -1]), []
  for _ in range(num_terms):
    u = np.einsum('bij,bi->bj', jacobian, u)
    result.append(u)
  return np.array(result)


def expected(outcomes, estimator, block, cotangents, copies=1, **kwargs):
  """Returns the expected log-determinant and gradients.

  Args:
    outcomes: pairs of a draw and its probability.
    estimator: that draws them.
    block: `g_fn`, weights and `x` as `testing.make_block` makes them.
    cotangents: of `y` and the log-determinant of the batch.
    copies: how many probes there are for each example; those of the first one
      come first.
    **kwargs: of `Estimator.evaluate`.

  Returns:
    The log-determinant, `[B]`, and a list: the gradients of `x + g(x)` and the
    log-determinant with respect to `x` and to the weights.
  """
  g_fn, weights, x = block
  g = numerics.ResidualFunction(g_fn)

  @tf.function
  def evaluate(draw, probability, weights, x):
    share = probability / copies

    def fn(weights, x):
      repeated = tf.concat([x] * copies, 0)
      value, log_det = estimator.evaluate(
          g, weights, [], repeated, draw, **kwargs)
      return repeated + value, log_det

    with tf.GradientTape() as tape:
      tape.watch([x, *weights])
      outputs = fn(weights, x)
    gradients = tape.gradient(
        outputs, [x, *weights],
        [share * tf.concat([c] * copies, 0) for c in cotangents],
        unconnected_gradients=tf.UnconnectedGradients.ZERO)
    value = tf.reduce_sum(tf.reshape(outputs[1], [copies, -1]), 0)
    return [share * value, *gradients]

  totals = None
  for draw, probability in outcomes:
    terms = evaluate(draw, tf.constant(probability, x.dtype), weights, x)
    totals = terms if totals is None else [
        a + b for a, b in zip(totals, terms, strict=True)]
  return totals[0], totals[1:]


def oracle(log_det_fn, block, cotangents):
  """Returns what `expected` does, of the full Jacobian."""
  g_fn, weights, x = block

  def fn(weights, x):
    return x + g_fn(weights, x), log_det_fn(g_fn, weights, x)

  return fn(weights, x)[1], testing.gradients(fn, weights, x, cotangents)


def assert_equal(actual, expected, atol=1e-8):
  """Compares pairs as `expected` and `oracle` return them."""
  for a, b in zip([actual[0], *actual[1]], [expected[0], *expected[1]],
                  strict=True):
    np.testing.assert_allclose(a, b, atol=atol, rtol=0)
