"""Tests of the pass over `u_k`, against NumPy's matrix powers, and its end.

Of the series of residual blocks and of another one, that of monotone blocks.
That the estimators sum both is the matter of tests/conformance/estimators_test.
"""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import cases
from tf_resflow import numerics
from tf_resflow.numerics import differentiation
from tf_resflow.numerics.log_det import series as series_lib

_ESTIMATORS = {
    'geometric': numerics.RussianRoulette(
        numerics.Geometric(0.4), num_exact_terms=0),
    'poisson': numerics.RussianRoulette(
        numerics.Poisson(2.0), num_exact_terms=2),
    'fixed': numerics.FixedTruncation(6),
}


def _inputs(kind, seed=4):
  g_fn, weights, x = testing.make_block(kind)
  rng = np.random.default_rng(seed)
  v = tf.constant(rng.normal(size=x.shape))
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  return g_fn, weights, x, v, jacobian


def _power_series(estimator, num_terms, vjp_fn, v, series=series_lib.RESIDUAL):
  schedule = estimator.schedule(numerics.Draw(num_terms, v))
  return series_lib.power_series(vjp_fn, v, schedule, series)


@loops.each(cases.SERIES.values(), [
    ('dense', 'geometric', 0), ('dense', 'geometric', 6),
    ('conv', 'poisson', 1), ('dense', 'poisson', 6), ('dense', 'fixed', 2),
    ('conv', 'fixed', 6)])
def test_value_and_vector_are_weighted_matrix_powers(
    case, kind, estimator, num_terms):
  estimator = _ESTIMATORS[estimator]
  g_fn, weights, x, v, jacobian = _inputs(kind)
  _, vjp_fn = differentiation.linearize(g_fn, weights, x)
  value, w = _power_series(
      estimator, tf.constant(num_terms), vjp_fn, v, case.series)

  # The gradient of a term `c tr(J^p)` is `c p tr(J^(p-1) dJ)`.
  flat_v = v.numpy().reshape([v.shape[0], -1])
  schedule = estimator.schedule(numerics.Draw(tf.constant(num_terms), v))
  expected_value = 0.0
  power, coefficient = case.term_fn(1)
  expected_w = coefficient * power * flat_v
  for k in range(1, num_terms + 1):
    value_weight, w_weight = schedule.weights(tf.constant(k), ())
    power, coefficient = case.term_fn(k)
    u = _transposed_power(jacobian, power, flat_v)
    expected_value += value_weight * coefficient * np.sum(u * flat_v, 1)
    power, coefficient = case.term_fn(k + 1)
    u = _transposed_power(jacobian, power - 1, flat_v)
    expected_w += w_weight * coefficient * power * u
  np.testing.assert_allclose(
      value, np.broadcast_to(expected_value, [3]), atol=1e-13)
  np.testing.assert_allclose(
      np.reshape(w, expected_w.shape), expected_w, atol=1e-13)


def _transposed_power(jacobian, power, v):
  return np.einsum('bij,bi->bj', np.linalg.matrix_power(jacobian, power), v)


@loops.each(cases.SERIES.values())
def test_terms_sum_to_the_exact_log_determinant(case):
  g_fn, weights, x, _, jacobian = _inputs('dense')
  expected = case.log_det_fn(g_fn, weights, x)
  np.testing.assert_allclose(case.series.exact(jacobian), expected, atol=1e-13)
  np.testing.assert_allclose(
      case.truncated(60)(g_fn, weights, x), expected, atol=1e-13)


@loops.each([1, 2, 3], [3.0, 1e4])
def test_determinants_are_as_accurate_as_float32_allows(size, condition):
  rng = np.random.default_rng(size)
  u, v = np.linalg.qr(rng.normal(size=[2, 500, size, size]))[0]
  singular = np.geomspace(2.0, 2.0 / condition, size)
  matrix = ((u * singular) @ v).astype(np.float32)
  inverse = np.linalg.inv(matrix.astype(np.float64))
  with tf.GradientTape() as tape:
    tensor = tf.constant(matrix)
    tape.watch(tensor)
    value = series_lib.log_abs_det(tensor)
  limit = 3 * condition * np.finfo(np.float32).eps
  np.testing.assert_allclose(
      value, np.linalg.slogdet(matrix.astype(np.float64))[1], atol=limit)
  gradient = tape.gradient(value, tensor)
  expected = np.swapaxes(inverse, 1, 2)
  assert testing.relative_error([gradient], [expected]) < 10 * limit


@loops.each([1, 2])
def test_xla_compiles_determinants_of_up_to_two_numbers(size):
  matrix = tf.random.stateless_normal(
      [5, size, size], [1, 2], dtype=tf.float64)
  compiled = tf.function(series_lib.log_abs_det, jit_compile=True)(matrix)
  np.testing.assert_allclose(
      compiled, np.linalg.slogdet(matrix.numpy())[1], atol=1e-14)


def test_terms_beyond_the_weights_do_not_exist():
  g_fn, weights, x, v, _ = _inputs('dense')
  _, vjp_fn = differentiation.linearize(g_fn, weights, x)
  exact, more = [
      _power_series(numerics.FixedTruncation(3), tf.constant(n), vjp_fn, v)
      for n in (3, 50)]
  np.testing.assert_array_equal(exact[0], more[0])
  np.testing.assert_array_equal(exact[1], more[1])


@loops.each([('residual', True), ('odd', False)])
def test_one_trace_serves_every_number_of_terms(series, jit_compile):
  case = cases.SERIES[series]
  g_fn, weights, x, v, _ = _inputs('dense')
  num_traces = []

  def value(num_terms, weights, x):
    num_traces.append(1)
    _, vjp_fn = differentiation.linearize(g_fn, weights, x)
    return _power_series(
        _ESTIMATORS['geometric'], num_terms, vjp_fn, v, case.series)[0]

  traced = tf.function(value, jit_compile=jit_compile)
  results = [traced(tf.constant(n), weights, x).numpy() for n in (1, 2, 5)]
  assert len(num_traces) == 1
  for n, result in zip((1, 2, 5), results, strict=True):
    np.testing.assert_allclose(
        result, value(tf.constant(n), weights, x), atol=1e-13)
  assert np.abs(results[0] - results[2]).max() > 1e-3


def test_tabulated_weights():
  weights = np.array([1.0, 1.0, 2.0, 4.0])
  table = series_lib.TabulatedSchedule(
      tf.constant(2), weights, None, tf.float64)
  assert [bool(table.continues(tf.constant(k), ())) for k in (1, 2, 3)] == [
      True, True, False]
  assert table.max_terms == 3
  for k in (1, 2, 3):
    assert table.weights(tf.constant(k), ()) == (weights[k], weights[k])
  assert table.advance(tf.constant(1), tf.ones([1, 2]), ()) == ()


def test_gradient_vectors_may_have_weights_of_their_own():
  table = series_lib.TabulatedSchedule(
      tf.constant(2), np.array([1.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0]),
      tf.float32)
  value_weight, w_weight = table.weights(tf.constant(2), ())
  assert (value_weight, w_weight) == (1.0, 0.0)
  assert value_weight.dtype == w_weight.dtype == tf.float32
