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
from tf_resflow.numerics import differentiation
from tf_resflow.numerics.log_det import memory_modes

_MODES = cases.MEMORY_MODES
# Cotangents of the log-determinant, one for every example.
_PER_EXAMPLE = [0.0, 1.5, -0.7]
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


def _cotangents(x, dlog_det):
  dy = np.random.default_rng(7).normal(size=x.shape)
  return [tf.constant(dy, x.dtype), tf.constant(dlog_det, x.dtype)]


def _oracle(kind, dlog_det):
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

  return testing.gradients(fn, weights, x, _cotangents(x, dlog_det))


@pytest.mark.parametrize('kind, wrap, dtype', [
    ('dense', 'eager', tf.float32), ('conv', 'graph', tf.float64),
    ('dense', 'xla', tf.float64)])
def test_modes_agree_at_the_same_draw(kind, wrap, dtype):
  """Where a mode takes them, with a cotangent for every example."""
  tolerance = 1e-5 if dtype == tf.float32 else 1e-10
  results = {}
  for memory, case in _MODES.items():
    dlog_det = _PER_EXAMPLE if case.per_example else [-0.7] * 3
    fn, weights, x = _make(kind, memory, dtype)

    def run(weights, x, fn=fn, dlog_det=dlog_det):
      return fn(weights, x), testing.gradients(
          fn, weights, x, _cotangents(x, dlog_det))

    results[memory], gradients = _WRAPPERS[wrap](run)(weights, x)
    error = testing.relative_error(gradients, _oracle(kind, dlog_det))
    # At one draw the naive gradient is another one, of the same mean.
    assert (error < tolerance) == case.is_neumann, memory
  for memory in _MODES:
    assert testing.relative_error(
        results[memory], results['neumann']) < tolerance


def test_a_cotangent_of_all_examples_would_be_noticed():
  expected = _oracle('dense', _PER_EXAMPLE)
  for wrong in (_PER_EXAMPLE[0], np.mean(_PER_EXAMPLE)):
    assert testing.relative_error(
        _oracle('dense', [wrong] * 3), expected) > 1e-2


@pytest.mark.parametrize('wrap', [_WRAPPERS['eager'], _WRAPPERS['graph']])
def test_backward_in_forward_refuses_unequal_cotangents(wrap):
  fn, weights, x = _make('dense', 'backward_in_forward')
  run = wrap(lambda weights, x: testing.gradients(
      fn, weights, x, _cotangents(x, _PER_EXAMPLE)))
  with pytest.raises(tf.errors.InvalidArgumentError, match=(
      'memory=backward_in_forward: expected one cotangent')):
    run(weights, x)


def test_naive_is_the_derivative_of_its_value():
  fn, weights, x = _make('dense', 'naive')
  cotangents = _cotangents(x, _PER_EXAMPLE)
  actual = testing.gradients(fn, weights, x, cotangents)
  inputs = [x, *weights]
  rng = np.random.default_rng(2)
  for i, tensor in enumerate(inputs):

    def loss(value, i=i):
      moved = inputs[:i] + [tf.constant(value)] + inputs[i + 1:]
      outputs = fn(moved[1:], moved[0])
      return sum(tf.reduce_sum(a * b)
                 for a, b in zip(outputs, cotangents, strict=True))

    direction = rng.normal(size=tensor.shape)
    assert np.sum(actual[i] * direction) == pytest.approx(
        testing.central_difference(loss, tensor, direction), rel=1e-6)


def test_naive_compiles_with_its_gradient():
  fn, weights, x = _make('dense', 'naive')

  def run(weights, x):
    return testing.gradients(fn, weights, x, _cotangents(x, _PER_EXAMPLE))

  assert testing.relative_error(
      _WRAPPERS['xla'](run)(weights, x), run(weights, x)) < 1e-12


@pytest.mark.parametrize('memory, wrap', [
    ('recompute', 'eager'), ('neumann', 'graph'), ('naive', 'graph'),
    ('backward_in_forward', 'eager')])
def test_backward_repeats(memory, wrap):
  wrap = _WRAPPERS[wrap]
  fn, weights, x = _make('dense', memory)
  with tf.GradientTape(persistent=True) as tape:
    tape.watch([x, *weights])
    outputs = wrap(fn)(weights, x)
  cotangents = _cotangents(x, [0.4] * 3)
  first, second = [
      tape.gradient(outputs, [x, *weights], cotangents) for _ in range(2)]
  for a, b in zip(first, second, strict=True):
    np.testing.assert_array_equal(a, b)
  assert testing.relative_error(
      first, testing.gradients(fn, weights, x, cotangents)) < 1e-12


def _second_derivative(fn, weights, x, source=0):
  """Derivative of |d log_det / dx|^2 with respect to x or a weight."""
  inputs = [x, *weights]
  with tf.GradientTape() as outer:
    outer.watch(inputs)
    with tf.GradientTape() as inner:
      inner.watch(inputs)
      log_det = fn(inputs[1:], inputs[0])[1]
    norm = tf.reduce_sum(inner.gradient(log_det, inputs[0])**2)
  return outer.gradient(norm, inputs[source])


@pytest.mark.parametrize('memory, wrap, source', [
    ('recompute', 'eager', 0), ('recompute', 'graph', 1),
    ('neumann', 'eager', 1), ('backward_in_forward', 'graph', 0)])
def test_second_derivatives_are_refused(memory, wrap, source):
  fn, weights, x = _make('dense', memory)
  with pytest.raises(LookupError, match='cannot be differentiated again'):
    _WRAPPERS[wrap](lambda weights, x: _second_derivative(
        fn, weights, x, source))(weights, x)


def test_second_derivatives_of_a_traced_call_are_refused():
  fn, weights, x = _make('dense', 'recompute')
  with pytest.raises(LookupError, match='cannot be differentiated again'):
    _second_derivative(_WRAPPERS['graph'](fn), weights, x)


@pytest.mark.parametrize('memory, estimator, wrap, source', [
    ('naive', _ESTIMATOR, 'eager', 1), ('naive', _ESTIMATOR, 'graph', 0),
    ('recompute', numerics.Exact(), 'graph', 1)])
def test_naive_and_exact_have_second_derivatives(
    memory, estimator, wrap, source):
  fn, weights, x = _make('dense', memory, estimator=estimator)
  inputs = [x, *weights]

  def squared_norm(value):
    moved = inputs[:source] + [tf.constant(value)] + inputs[source + 1:]
    with tf.GradientTape() as tape:
      tape.watch(moved[0])
      log_det = fn(moved[1:], moved[0])[1]
    return tf.reduce_sum(tape.gradient(log_det, moved[0])**2)

  actual = _WRAPPERS[wrap](lambda weights, x: _second_derivative(
      fn, weights, x, source))(weights, x)
  direction = np.random.default_rng(1).normal(size=inputs[source].shape)
  expected = testing.central_difference(
      squared_norm, inputs[source], direction)
  assert np.sum(actual * direction) == pytest.approx(expected, rel=1e-6)


def test_surrogate_is_the_bilinear_form():
  g_fn, weights, x = testing.make_block('conv')
  rng = np.random.default_rng(4)
  v, w = (tf.constant(rng.normal(size=x.shape)) for _ in range(2))
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x)
  _, vjp_fn = differentiation.linearize(g_fn, weights, x)
  actual = memory_modes._surrogate(vjp_fn, v, w)
  expected = np.einsum(
      'bi,bij,bj->b', np.reshape(w, [3, -1]), jacobian,
      np.reshape(v, [3, -1]))
  np.testing.assert_allclose(actual, expected, atol=1e-14)


@loops.each(_MODES)
def test_a_function_without_variables(memory):
  matrix = 0.4 * np.random.default_rng(0).normal(size=[4, 4])
  g = numerics.ResidualFunction(
      lambda weights, x: tf.tanh(tf.linalg.matmul(x, matrix)))
  x = testing.make_block('dense')[2]
  draw = _draw(x)
  cotangents = averages.cotangents(x, per_example=False)

  def fn(weights, x, memory=memory):
    return numerics.forward_and_log_det(
        g, weights, x, _ESTIMATOR, draw=draw, memory=memory)

  (dx,) = testing.gradients(fn, [], x, cotangents)
  assert dx.shape == x.shape
  if _MODES[memory].is_neumann:
    (expected,) = testing.gradients(
        lambda weights, x: fn(weights, x, 'neumann'), [], x, cotangents)
    np.testing.assert_allclose(dx, expected, atol=1e-13)


@pytest.mark.parametrize('memory, estimator', [
    ('recompute', _ESTIMATOR), ('neumann', _ESTIMATOR),
    ('recompute', numerics.Exact())])
def test_norms_are_not_differentiated(memory, estimator):
  """They are iterations; so every mode has the gradient at fixed norms."""
  g_fn, weights, x = testing.make_block('dense')
  draw = _draw(x)
  cotangents = averages.cotangents(x, per_example=False)

  def effective(variables, norms):
    return [v / n for v, n in zip(variables, norms, strict=True)]

  def scales(variables):
    return [2.0 * tf.norm(v) for v in variables]

  free = numerics.ResidualFunction(
      g_fn, converge_norms=lambda variables, state: scales(variables),
      effective_weights=effective)
  fixed_scales = scales(weights)
  fixed = numerics.ResidualFunction(
      g_fn, effective_weights=lambda variables, norms: effective(
          variables, fixed_scales))
  actual, expected = [
      testing.gradients(
          lambda weights, x, g=g: numerics.forward_and_log_det(
              g, weights, x, estimator, draw=draw, memory=memory),
          weights, x, cotangents) for g in (free, fixed)]
  assert testing.relative_error(actual, expected) < 1e-12
