"""Tests of the memory modes: agreement, cotangents, second derivatives.

That the estimates are unbiased is the matter of
tests/conformance/estimators_test. Here all modes run at one forced draw,
against the float64 Jacobian at that draw.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import averages
from tests.numerics import cases
from tf_resflow import numerics

_MODES = cases.MEMORY_MODES
_ESTIMATOR = numerics.RussianRoulette(numerics.Poisson(2.0), num_exact_terms=2)
_WRAPPERS = {
    'eager': lambda fn: fn,
    'graph': lambda fn: tf.function(fn, autograph=False),
    'xla': lambda fn: tf.function(fn, autograph=False, jit_compile=True),
}


def _draw(x, num_terms=5):
  probe = np.random.default_rng(3).normal(size=x.shape)
  return numerics.Draw(tf.constant(num_terms), tf.constant(probe, x.dtype))


def _make(kind, memory, dtype=tf.float64, estimator=_ESTIMATOR):
  """Returns `fn(weights, x) -> (y, log_det)`, weights and x."""
  g_fn, weights, x = testing.make_block(kind, dtype)
  g, draw = numerics.ResidualFunction(g_fn), _draw(x)

  def fn(weights, x):
    return numerics.forward_and_log_det(
        g, weights, x, estimator, draw=draw, memory=memory)

  return fn, weights, x


def _oracle(kind, cotangents):
  """Gradients of `<y, dy> + <w^T J v, dlog_det>`, `w` from matrix powers."""
  g_fn, weights, x = testing.make_block(kind)
  v = tf.reshape(_draw(x).probe, [x.shape[0], -1])
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x)
  w = u = v
  for k in range(1, 6):
    u = tf.linalg.matvec(jacobian, u, transpose_a=True)
    w += (-1.0)**k * _ESTIMATOR.weights()[k] * u

  def fn(weights, x):
    jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x)
    return x + g_fn(weights, x), tf.reduce_sum(
        w * tf.linalg.matvec(jacobian, v), 1)

  return testing.gradients(
      fn, weights, x, [tf.cast(c, x.dtype) for c in cotangents])


@pytest.mark.parametrize('kind, wrap, dtype', [
    ('dense', 'eager', tf.float32), ('conv', 'graph', tf.float64),
    pytest.param('dense', 'xla', tf.float64, marks=pytest.mark.slow)])
def test_modes_agree_at_the_same_draw(kind, wrap, dtype):
  """A cotangent for every example, if the mode takes them."""
  tolerance = 1e-5 if dtype == tf.float32 else 1e-10
  results = {}
  for memory, case in _MODES.items():
    fn, weights, x = _make(kind, memory, dtype)
    cotangents, others = [
        averages.cotangents(x, per_example)
        for per_example in (case.per_example, not case.per_example)]

    def run(weights, x, fn=fn, cotangents=cotangents):
      return fn(weights, x), testing.gradients(fn, weights, x, cotangents)

    results[memory], gradients = _WRAPPERS[wrap](run)(weights, x)
    if wrap != 'eager':
      assert testing.relative_error(gradients, run(weights, x)[1]) < tolerance
    error = testing.relative_error(gradients, _oracle(kind, cotangents))
    # At one draw the naive gradient is another one, of the same mean.
    assert (error < tolerance) == case.is_neumann, memory
    # One cotangent for all examples would be noticed.
    assert testing.relative_error(gradients, _oracle(kind, others)) > 1e-2
  for memory in _MODES:
    assert testing.relative_error(
        results[memory], results['neumann']) < tolerance


@pytest.mark.parametrize('memory, wrap', [
    ('recompute', 'eager'), ('neumann', 'graph'), ('naive', 'graph'),
    ('backward_in_forward', 'eager')])
def test_backward_repeats(memory, wrap):
  wrap = _WRAPPERS[wrap]
  fn, weights, x = _make('dense', memory)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch([x, *weights])
    outputs = wrap(fn)(weights, x)
  cotangents = averages.cotangents(x, per_example=False)
  first, second = [
      tape.gradient(outputs, [x, *weights], cotangents) for _ in range(2)]
  for a, b in zip(first, second, strict=True):
    np.testing.assert_array_equal(a, b)
  assert testing.relative_error(
      first, testing.gradients(fn, weights, x, cotangents)) < 1e-12


def _squared_norm(fn, inputs):
  """`|d log_det / dx|^2` at `x` and the weights."""
  with tf.GradientTape() as tape:
    tape.watch(inputs)
    log_det = fn(inputs[1:], inputs[0])[1]
  return tf.reduce_sum(tape.gradient(log_det, inputs[0])**2)


def _second_derivative(fn, weights, x, source):
  """Derivative of the squared norm with respect to `x` or a weight."""
  inputs = [x, *weights]
  with tf.GradientTape() as tape:
    tape.watch(inputs[source])
    norm = _squared_norm(fn, inputs)
  return tape.gradient(norm, inputs[source])


@pytest.mark.parametrize('memory, wrap_fn, wrap, source', [
    ('recompute', 'eager', 'eager', 0), ('recompute', 'eager', 'graph', 1),
    ('recompute', 'graph', 'eager', 0), ('neumann', 'eager', 'eager', 1),
    ('backward_in_forward', 'eager', 'graph', 0)])
def test_second_derivatives_are_refused(memory, wrap_fn, wrap, source):
  fn, weights, x = _make('dense', memory)
  fn = _WRAPPERS[wrap_fn](fn)
  with pytest.raises(LookupError, match='cannot be differentiated again'):
    _WRAPPERS[wrap](lambda weights, x: _second_derivative(
        fn, weights, x, source))(weights, x)


@pytest.mark.parametrize('memory, estimator, wrap, source', [
    ('naive', _ESTIMATOR, 'eager', 1), ('naive', _ESTIMATOR, 'graph', 0),
    ('recompute', numerics.Exact(), 'graph', 1)])
def test_naive_and_exact_have_second_derivatives(
    memory, estimator, wrap, source):
  fn, weights, x = _make('dense', memory, estimator=estimator)
  actual = _WRAPPERS[wrap](lambda weights, x: _second_derivative(
      fn, weights, x, source))(weights, x)
  inputs = [x, *weights]
  direction = np.random.default_rng(1).normal(size=inputs[source].shape)
  expected = testing.central_difference(
      lambda value: _squared_norm(
          fn, [*inputs[:source], tf.constant(value), *inputs[source + 1:]]),
      inputs[source], direction)
  assert np.sum(actual * direction) == pytest.approx(expected, rel=1e-6)


@loops.each(_MODES)
def test_a_function_without_variables(memory):
  g_fn, weights, x = testing.make_block('dense')
  g, draw = numerics.ResidualFunction(lambda _, x: g_fn(weights, x)), _draw(x)
  cotangents = averages.cotangents(x, per_example=False)
  dx = testing.gradients(
      lambda _, x: numerics.forward_and_log_det(
          g, [], x, _ESTIMATOR, draw=draw, memory=memory), [], x, cotangents)
  error = testing.relative_error(dx, _oracle('dense', cotangents)[:1])
  assert (error < 1e-10) == _MODES[memory].is_neumann


@pytest.mark.parametrize('memory, estimator', [
    ('recompute', _ESTIMATOR), ('neumann', _ESTIMATOR),
    ('recompute', numerics.Exact())])
def test_norms_are_not_differentiated(memory, estimator):
  """Every mode has the gradient at fixed norms."""
  g_fn, weights, x = testing.make_block('dense')
  draw = _draw(x)
  cotangents = averages.cotangents(x, per_example=False)

  def effective(variables, norms):
    return [v / n for v, n in zip(variables, norms, strict=True)]

  free = numerics.ResidualFunction(
      g_fn, effective_weights=effective, converge_norms=(
          lambda variables, state: [2.0 * tf.norm(v) for v in variables]))
  norms = free.converge_norms(weights, [])
  fixed = numerics.ResidualFunction(
      g_fn, effective_weights=lambda variables, _: effective(variables, norms))
  actual, expected = [
      testing.gradients(
          lambda weights, x, g=g: numerics.forward_and_log_det(
              g, weights, x, estimator, draw=draw, memory=memory),
          weights, x, cotangents) for g in (free, fixed)]
  assert testing.relative_error(actual, expected) < 1e-12
