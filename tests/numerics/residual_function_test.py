"""Tests of the three parts of a residual function.

Oracle of normalised weights: the norm of the SVD, with its own gradient.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import averages
from tf_resflow import numerics
from tf_resflow.numerics import residual_function
from tf_resflow.numerics.norms import operators
from tf_resflow.numerics.norms import power_iteration

_COEFFICIENT = 0.7


def _normalized():
  """A dense `g` of two kernels that are divided by their norms.

  Returns:
    The function, its variables, state and input, and a plain `g_fn` of the
    variables: the oracle.
  """
  g_fn, variables, x = testing.make_block('dense', scale=3.0)
  is_kernel = [v.shape.rank == 2 for v in variables]
  rng = np.random.default_rng(2)
  state = [
      tf.constant(np.linalg.qr(rng.normal(size=[4, 4]))[0])
      for is_one in is_kernel if is_one]

  def converge_norms(variables, state):
    kernels = [v for v in variables if v.shape.rank == 2]
    return [
        power_iteration.power_iteration(
            operators.LayerOperator(kernel), v, tolerance=1e-12,
            max_steps=500).v for kernel, v in zip(kernels, state, strict=True)]

  def effective_weights(variables, norms):
    norms = iter(norms)
    return [
        _COEFFICIENT * v / power_iteration.spectral_norm(
            operators.LayerOperator(v), next(norms)) if is_one else v
        for v, is_one in zip(variables, is_kernel, strict=True)]

  def oracle_fn(variables, x):
    return g_fn([
        _COEFFICIENT * v / tf.linalg.svd(v)[0][0] if is_one else v
        for v, is_one in zip(variables, is_kernel, strict=True)], x)

  g = numerics.ResidualFunction(
      g_fn, converge_norms=converge_norms, effective_weights=effective_weights)
  return g, variables, state, x, oracle_fn


@pytest.mark.parametrize('memory', ['recompute', 'backward_in_forward'])
def test_gradients_go_through_the_norms_of_the_weights(memory):
  g, variables, state, x, oracle_fn = _normalized()
  estimator = numerics.FixedTruncation(3)
  draw = estimator.draw(x, 3)
  cotangents = averages.cotangents(x, per_example=False)
  plain = numerics.ResidualFunction(oracle_fn)
  actual = testing.gradients(
      lambda variables, x: numerics.forward_and_log_det(
          g, variables, x, estimator, state=state, draw=draw, memory=memory),
      variables, x, cotangents)
  expected = testing.gradients(
      lambda variables, x: numerics.forward_and_log_det(
          plain, variables, x, estimator, draw=draw, memory=memory),
      variables, x, cotangents)
  assert testing.relative_error(actual, expected) < 1e-9
  # Norms held fixed would give another gradient.
  weights = g.weights(variables, state)
  fixed = testing.gradients(
      lambda weights, x: numerics.forward_and_log_det(
          g.of_weights, weights, x, estimator, draw=draw, memory=memory),
      weights, x, cotangents)
  assert testing.relative_error(fixed[1:], expected[1:]) > 1e-2


def test_inverse_goes_through_the_norms_of_the_weights():
  g, variables, state, y, oracle_fn = _normalized()
  solver = numerics.Anderson(atol=1e-13)
  cotangent = averages.cotangents(y)[0]
  plain = numerics.ResidualFunction(oracle_fn)
  actual = testing.gradients(
      lambda variables, y: numerics.invert_residual(
          g, variables, y, solver, state=state).x, variables, y, cotangent)
  expected = testing.gradients(
      lambda variables, y: numerics.invert_residual(
          plain, variables, y, solver).x, variables, y, cotangent)
  assert testing.relative_error(actual, expected) < 1e-9


def test_effective_weights_are_a_function_of_their_own():
  """What an export computes with: nothing is left to iterate."""
  g, variables, state, x, _ = _normalized()
  weights = g.weights(variables, state)
  assert np.linalg.norm(weights[0], 2) == pytest.approx(_COEFFICIENT)
  estimator = numerics.RussianRoulette()
  draw = estimator.draw(x, 3)
  whole = numerics.forward_and_log_det(
      g, variables, x, estimator, state=state, draw=draw)
  frozen = numerics.forward_and_log_det(
      g.of_weights, weights, x, estimator, draw=draw)
  for a, b in zip(whole, frozen, strict=True):
    np.testing.assert_allclose(a, b, atol=1e-13)
  assert g.of_weights is g.of_weights


def _counting():
  """A function that counts how often each part is evaluated."""
  counts = dict.fromkeys(('norms', 'weights'), 0)

  def count(name):
    def increment():
      counts[name] += 1
    tf.py_function(increment, [], [])

  def converge_norms(variables, state):
    count('norms')
    return [tf.constant(2.0)]

  def effective_weights(variables, norms):
    count('weights')
    return [variables[0] / norms[0]]

  return counts, numerics.ResidualFunction(
      lambda weights, x: weights[0] * x, converge_norms=converge_norms,
      effective_weights=effective_weights)


def test_norms_converge_once_and_weights_twice_a_step():
  counts, g = _counting()
  weight, x = tf.constant(1.0), tf.ones([3, 2])
  with tf.GradientTape() as tape:
    tape.watch(weight)
    y, log_det = numerics.forward_and_log_det(
        g, [weight], x, numerics.RussianRoulette())
    loss = tf.reduce_sum(y) + tf.reduce_sum(log_det)
  assert counts == {'norms': 1, 'weights': 1}
  assert tape.gradient(loss, weight) is not None
  assert counts == {'norms': 1, 'weights': 2}


def test_functions_are_traced_once_for_equal_settings():
  g = numerics.ResidualFunction(lambda weights, x: weights[0] * x)
  evaluate = residual_function.evaluate
  assert g.traced(evaluate) is g.traced(evaluate)
  # By value: an equal estimator is the same setting.
  assert g.traced(evaluate, numerics.RussianRoulette()) is g.traced(
      evaluate, numerics.RussianRoulette(numerics.Poisson(2.0)))
  assert g.traced(evaluate, numerics.RussianRoulette()) is not g.traced(
      evaluate, numerics.RussianRoulette(num_exact_terms=3))
  other = numerics.ResidualFunction(lambda weights, x: -weights[0] * x)
  x, weight = tf.ones([2, 3]), [tf.constant(0.5)]
  np.testing.assert_array_equal(
      g.traced(evaluate)(weight, [], x), np.full([2, 3], 0.5))
  np.testing.assert_array_equal(
      other.traced(evaluate)(weight, [], x), np.full([2, 3], -0.5))


def test_eager_calls_with_batches_of_many_sizes_share_one_graph():
  """Every graph costs time, and memory that is never freed."""
  g_fn, weights, _ = testing.make_block('dense')
  counted, num_traces = testing.count_traces(g_fn)
  g = numerics.ResidualFunction(counted, max_examples=lambda: 3)
  plain = numerics.ResidualFunction(g_fn)
  estimator = numerics.RussianRoulette()
  counts = []
  for size in (1, 2, 3, 4, 5, 8, 13):
    x = tf.ones([size, 4], tf.float64)
    outputs, expected = [
        numerics.forward_and_log_det(f, weights, x, estimator, seed=3)
        for f in (g, plain)]
    solution = numerics.invert_residual(
        g, weights, outputs[0], numerics.Anderson())
    assert testing.relative_error(outputs, expected) < 1e-12
    np.testing.assert_allclose(solution.x, x, atol=1e-9)
    counts.append(len(num_traces))
  # The first size has a graph of its own, the second one that of all others.
  assert counts[0] < counts[1] == counts[-1]


@loops.each([None, 1, 2])
def test_evaluate_takes_chunks(max_examples):
  g_fn, weights, x = testing.make_block('conv')
  g = numerics.ResidualFunction(g_fn, max_examples=lambda: max_examples)
  np.testing.assert_allclose(
      residual_function.evaluate(g, weights, [], x), g_fn(weights, x),
      atol=1e-14)


def test_chunks_of_unknown_size_are_for_effective_weights_only():
  """XLA does not compile them, so training does without."""
  sizes = []

  def g_fn(weights, x):
    tf.py_function(lambda n: sizes.append(int(n)), [tf.shape(x)[0]], [])
    return 0.5 * x

  g = numerics.ResidualFunction(g_fn, max_examples=lambda: 2)
  for function, expected in ((g, [5]), (g.of_weights, [2, 2, 1])):
    sizes.clear()
    run = tf.function(
        lambda x, function=function: residual_function.evaluate(
            function, [], [], x),
        input_signature=[tf.TensorSpec([None, 3])])
    np.testing.assert_array_equal(run(tf.ones([5, 3])), np.full([5, 3], 0.5))
    assert sizes == expected
  assert g.map_in_chunks(
      lambda x: ([x], []), [tf.ones([5, 3])], [tf.ones([5, 3])],
      is_whole=True)[0][0].shape == [5, 3]
