"""Tests of the forward pass: what it takes, and how it is traced.

Memory modes and estimators have tests of their own.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import numerics

_ESTIMATOR = numerics.RussianRoulette(numerics.Poisson(2.0), num_exact_terms=2)


@pytest.mark.parametrize('kind', ['dense', 'conv'])
def test_value_is_that_of_the_map(kind):
  g_fn, weights, x = testing.make_block(kind)
  y, log_det = numerics.forward_and_log_det(
      numerics.ResidualFunction(g_fn), weights, x, numerics.Exact())
  np.testing.assert_allclose(y, x + g_fn(weights, x), atol=1e-14)
  np.testing.assert_allclose(
      log_det, testing.full_log_det(g_fn, weights, x), atol=1e-13)


def test_seed_and_draw():
  g_fn, weights, x = testing.make_block('dense')
  g = numerics.ResidualFunction(g_fn)

  def log_det(**kwargs):
    return numerics.forward_and_log_det(
        g, weights, x, _ESTIMATOR, **kwargs)[1].numpy()

  first = log_det(seed=3)
  np.testing.assert_array_equal(first, log_det(seed=3))
  np.testing.assert_array_equal(
      first, log_det(draw=_ESTIMATOR.draw(x, 3)))
  assert np.any(first != log_det(seed=4))
  assert np.any(log_det() != log_det())


def test_unknown_batch_size_and_shared_traces():
  g_fn, weights, x = testing.make_block('conv')
  g = numerics.ResidualFunction(g_fn)

  @tf.function(input_signature=[tf.TensorSpec([None, 3, 3, 2], tf.float64)])
  def run(x):
    with tf.GradientTape() as tape:
      tape.watch(weights)
      y, log_det = numerics.forward_and_log_det(
          g, weights, x, _ESTIMATOR, seed=3)
    return y, log_det, *tape.gradient(log_det, weights)

  draw = _ESTIMATOR.draw(x, 3)

  def neumann(weights, x):
    return numerics.forward_and_log_det(
        g, weights, x, _ESTIMATOR, draw=draw, memory='neumann')

  y, log_det = neumann(weights, x)
  traced = run(x)
  np.testing.assert_allclose(traced[0], y, atol=1e-14)
  np.testing.assert_allclose(traced[1], log_det, atol=1e-14)
  expected = testing.gradients(
      lambda w, x: neumann(w, x)[1], weights, x, tf.ones([3], tf.float64))
  assert testing.relative_error(traced[2:], expected[1:]) < 1e-12
  assert run(x[:2])[1].shape == [2]


def test_equal_blocks_share_one_trace():
  g_fn, weights, x = testing.make_block('dense')
  num_traces = []

  def counted(weights, x):
    num_traces.append(1)
    return g_fn(weights, x)

  def count(num_blocks):
    g = numerics.ResidualFunction(counted)
    num_traces.clear()

    @tf.function
    def run(x):
      with tf.GradientTape() as tape:
        tape.watch(weights)
        y, total = x, 0.0
        for i in range(num_blocks):
          y, log_det = numerics.forward_and_log_det(
              g, [(1 - 0.1 * i) * w for w in weights], y, _ESTIMATOR, seed=i)
          total += log_det
      return tape.gradient(total, weights)

    run(x)
    return len(num_traces)

  assert count(1) == count(4)


def test_state_reaches_the_norms():
  g = numerics.ResidualFunction(
      lambda weights, x: weights[0] * x,
      converge_norms=lambda variables, state: [2.0 * state[0]],
      effective_weights=lambda variables, norms: [variables[0] / norms[0]])
  y, log_det = numerics.forward_and_log_det(
      g, [tf.constant(3.0)], tf.ones([5, 2]), numerics.Exact(),
      state=(tf.constant(5.0),))
  np.testing.assert_allclose(y, np.full([5, 2], 1.3), rtol=1e-6)
  np.testing.assert_allclose(log_det, np.full([5], 2 * np.log(1.3)), rtol=1e-5)
