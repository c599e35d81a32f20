"""Tests of the pass over `u_k`, against NumPy's matrix powers, and its end.

Of the series of residual blocks and of another one, that of monotone blocks.
That the estimators sum both is the matter of tests/conformance/estimators_test.
"""

import numpy as np
import pytest
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


@loops.each(cases.SERIES.values(), [
    ('dense', 'geometric', 0), ('dense', 'geometric', 6),
    ('conv', 'poisson', 1), ('dense', 'poisson', 6), ('dense', 'fixed', 2),
    ('conv', 'fixed', 6)])
def test_value_and_vector_are_weighted_matrix_powers(
    case, kind, estimator, num_terms):
  estimator = _ESTIMATORS[estimator]
  g_fn, weights, x = testing.make_block(kind)
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  _, vjp_fn = differentiation.linearize(g_fn, weights, x)
  v = tf.constant(np.random.default_rng(4).normal(size=x.shape))
  schedule = estimator.schedule(numerics.Draw(tf.constant(num_terms), v))
  value, w = series_lib.power_series(vjp_fn, v, schedule, case.series)

  # The gradient of a term `c tr(J^p)` is `c p tr(J^(p-1) dJ)`.
  flat_v = v.numpy().reshape([v.shape[0], -1])
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


@loops.each([1, 2, 3, 7])
def test_xla_compiles_determinants_and_gradients(size):
  matrix = tf.random.stateless_normal([5, size, size], [1, 2], dtype=tf.float64)

  @tf.function(jit_compile=True, autograph=False)
  def compiled(matrix):
    with tf.GradientTape() as tape:
      tape.watch(matrix)
      value = series_lib.log_abs_det(matrix)
    return value, tape.gradient(value, matrix)

  value, gradient = compiled(matrix)
  np.testing.assert_allclose(
      value, np.linalg.slogdet(matrix.numpy())[1], atol=1e-12)
  np.testing.assert_allclose(
      gradient, np.swapaxes(np.linalg.inv(matrix.numpy()), 1, 2), rtol=1e-8)


@pytest.mark.parametrize('size', [2, 3])
def test_a_matrix_that_is_not_finite_spoils_no_other(size):
  """As in Markov chains, one of which has left the numbers."""
  matrices = np.stack([2.0 * np.eye(size)] * 3)
  matrices[1, 0, 0], matrices[2, 1, 0] = np.nan, np.inf
  matrices = tf.constant(matrices)
  with tf.GradientTape() as tape:
    tape.watch(matrices)
    log_det = series_lib.log_abs_det(matrices)
  np.testing.assert_allclose(log_det[0], size * np.log(2.0))
  assert not np.any(np.isfinite(log_det[1:]))
  np.testing.assert_allclose(
      tape.gradient(log_det, matrices)[0], 0.5 * np.eye(size))


def test_terms_beyond_the_weights_do_not_exist():
  estimator, v = numerics.FixedTruncation(3), tf.ones([3, 4], tf.float64)
  exact, more = [
      series_lib.power_series(lambda u: 0.5 * u, v, estimator.schedule(
          numerics.Draw(tf.constant(n), v))) for n in (3, 50)]
  np.testing.assert_array_equal(exact[0], more[0])
  np.testing.assert_array_equal(exact[1], more[1])


def test_terms_fall_as_fast_as_it_says():
  """Hence `safe` draws fewer terms than for residual blocks."""
  assert numerics.OddSeries().rate(0.9) == pytest.approx(0.81)
  safe = numerics.Estimator.get('roulette:safe')
  tails = [safe.for_bound(series.rate(0.9)).distribution.tail(np.array([5]))
           for series in (numerics.OddSeries(), numerics.RESIDUAL_SERIES)]
  assert tails[0] < tails[1]
