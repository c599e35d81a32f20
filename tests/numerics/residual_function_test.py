"""Tests of the three parts of a residual function.

Oracle of normalised weights: the norm of the SVD, with its own gradient.
"""

import numpy as np
import pytest
import tensorflow as tf

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
            max_steps=500).rows
        for kernel, v in zip(kernels, state, strict=True)]

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

  def gradients(g, variables, state=()):
    return testing.gradients(
        lambda variables, x: numerics.forward_and_log_det(
            g, variables, x, estimator, state=state, draw=draw, memory=memory),
        variables, x, averages.cotangents(x, per_example=False))

  expected = gradients(numerics.ResidualFunction(oracle_fn), variables)
  assert testing.relative_error(
      gradients(g, variables, state), expected) < 1e-9
  # Norms held fixed would give another gradient.
  fixed = gradients(g.of_weights, g.weights(variables, state))
  assert testing.relative_error(fixed[1:], expected[1:]) > 1e-2


def test_norms_converge_once_and_weights_twice_a_step():
  calls = []

  def converge_norms(variables, state):
    tf.py_function(lambda: calls.append('norms'), [], [])
    return [tf.constant(2.0)]

  def effective_weights(variables, norms):
    tf.py_function(lambda: calls.append('weights'), [], [])
    return [variables[0] / norms[0]]

  g = numerics.ResidualFunction(
      lambda weights, x: weights[0] * x, converge_norms=converge_norms,
      effective_weights=effective_weights)
  weight, x = tf.constant(1.0), tf.ones([3, 2])
  with tf.GradientTape() as tape:
    tape.watch(weight)
    y, log_det = numerics.forward_and_log_det(
        g, [weight], x, numerics.RussianRoulette())
    loss = tf.reduce_sum(y) + tf.reduce_sum(log_det)
  assert sorted(calls) == ['norms', 'weights']
  assert tape.gradient(loss, weight) is not None
  assert sorted(calls) == ['norms', 'weights', 'weights']


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
  assert other.traced(evaluate) is not g.traced(evaluate)


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
