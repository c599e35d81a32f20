"""Tests of the pass over u_k = (J^T)^k v, against numpy's matrix powers."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import numerics
from tf_resflow.numerics import differentiation
from tf_resflow.numerics import series

_ESTIMATORS = {
    'geometric': numerics.RussianRoulette(numerics.Geometric(0.4), 0),
    'poisson': numerics.RussianRoulette(numerics.Poisson(2.0), 2),
    'fixed': numerics.FixedTruncation(6),
}


def _inputs(kind, seed=4):
  g_fn, weights, x = testing.make_block(kind)
  rng = np.random.default_rng(seed)
  v = tf.constant(rng.normal(size=x.shape))
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  return g_fn, weights, x, v, jacobian


@pytest.mark.parametrize('kind', ['dense', 'conv'])
@pytest.mark.parametrize('num_terms', [0, 1, 2, 6])
@pytest.mark.parametrize('estimator', _ESTIMATORS.values(), ids=_ESTIMATORS)
def test_value_and_vector_are_weighted_matrix_powers(
    kind, num_terms, estimator):
  g_fn, weights, x, v, jacobian = _inputs(kind)
  _, vjp_fn = differentiation.linearize(g_fn, weights, x)
  value, w = series.power_series(
      vjp_fn, numerics.Draw(tf.constant(num_terms), v), estimator)

  flat_v = v.numpy().reshape([v.shape[0], -1])
  u, expected_value = flat_v, 0.0
  expected_w = estimator.gradient_weights()[0] * flat_v
  for k in range(1, num_terms + 1):
    u = np.einsum('bij,bi->bj', jacobian, u)
    expected_value += estimator.value_weights()[k] * np.sum(u * flat_v, 1)
    expected_w += estimator.gradient_weights()[k] * u
  np.testing.assert_allclose(
      value, np.broadcast_to(expected_value, [3]), atol=1e-13)
  np.testing.assert_allclose(
      np.reshape(w, expected_w.shape), expected_w, atol=1e-13)


@pytest.mark.parametrize('kind', ['dense', 'conv'])
def test_surrogate_is_the_bilinear_form(kind):
  g_fn, weights, x, v, jacobian = _inputs(kind)
  w = _inputs(kind, seed=9)[3]
  g, actual = series.surrogate(g_fn, weights, x, v, w)
  expected = np.einsum(
      'bi,bij,bj->b', np.reshape(w, [3, -1]), jacobian,
      np.reshape(v, [3, -1]))
  np.testing.assert_allclose(actual, expected, atol=1e-14)
  np.testing.assert_array_equal(g, g_fn(weights, x))


def test_terms_beyond_the_weights_do_not_exist():
  g_fn, weights, x, v, _ = _inputs('dense')
  _, vjp_fn = differentiation.linearize(g_fn, weights, x)
  estimator = numerics.FixedTruncation(3)
  exact, more = [
      series.power_series(
          vjp_fn, numerics.Draw(tf.constant(n), v), estimator)
      for n in (3, 50)
  ]
  np.testing.assert_array_equal(exact[0], more[0])
  np.testing.assert_array_equal(exact[1], more[1])


@pytest.mark.parametrize('jit_compile', [False, True])
def test_one_trace_serves_every_number_of_terms(jit_compile):
  g_fn, weights, x, v, _ = _inputs('dense')
  estimator = _ESTIMATORS['geometric']
  num_traces = []

  def value(num_terms, weights, x):
    num_traces.append(1)
    _, vjp_fn = differentiation.linearize(g_fn, weights, x)
    return series.power_series(
        vjp_fn, numerics.Draw(num_terms, v), estimator)[0]

  traced = tf.function(value, jit_compile=jit_compile)
  results = [traced(tf.constant(n), weights, x).numpy() for n in (1, 2, 5)]
  assert len(num_traces) == 1
  for n, result in zip((1, 2, 5), results, strict=True):
    np.testing.assert_allclose(
        result, value(tf.constant(n), weights, x), atol=1e-13)
  assert np.abs(results[0] - results[2]).max() > 1e-3
