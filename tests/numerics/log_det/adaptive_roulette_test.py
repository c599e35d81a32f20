"""The adaptive roulette: its law, averaged exactly, and drawn.

Averaged exactly means over every number of terms that the threshold can choose,
weighted by its probability, until what is left is below 1e-10. Oracles: matrix
powers in NumPy, and the log-det of the full float64 Jacobian. Means over probes
as well are the matter of tests/conformance/estimators_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.numerics import averages
from tests.numerics import cases
from tf_resflow import numerics

_ESTIMATORS = {
    'default': numerics.AdaptiveRoulette(),
    'from the second term on': numerics.AdaptiveRoulette(
        0.2, num_exact_terms=1),
    'from the first term on': numerics.AdaptiveRoulette(
        2.0, num_exact_terms=1),
    'gaussian': numerics.AdaptiveRoulette(
        0.5, num_exact_terms=3, probe='gaussian'),
}


def _survival(g_fn, weights, x, probe, estimator):
  """`P_1, ..., P_K` of the batch by their definition."""
  u = averages.vectors(g_fn, weights, x, probe)
  return cases.survival(estimator, u)[:, 0]


def _average(block, probe, estimator, memory, cotangents):
  """Expected value and gradients over the threshold."""
  g_fn, weights, x = block
  u = averages.vectors(g_fn, weights, x, probe)
  outcomes = cases.every_threshold(estimator, probe, u)
  return averages.expected(
      outcomes, estimator, block, cotangents, memory=memory)


def _full_series(g_fn, weights, x, probe, cotangents):
  """`sum_k (-1)^(k+1) / k <u_k, v>` and the gradients `w^T dJ v`, all terms."""
  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  v = probe.numpy().reshape([x.shape[0], -1])
  u, value, w = v, 0.0, v.copy()
  for k in range(1, 100):
    u = np.einsum('bij,bi->bj', jacobian, u)
    value += (-1)**(k + 1) / k * np.sum(u * v, 1)
    w += (-1)**k * u

  def fn(weights, x):
    jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x)
    return x + g_fn(weights, x), tf.einsum('bi,bij,bj->b', w, jacobian, v)

  return value, testing.gradients(fn, weights, x, cotangents)


@pytest.mark.parametrize('kind', ['dense', 'conv'])
@pytest.mark.parametrize('name', _ESTIMATORS)
def test_given_the_probe_it_is_unbiased(kind, name):
  g_fn, weights, x = block = testing.make_block(kind)
  estimator = _ESTIMATORS[name]
  probe = estimator.draw(x, 3).probe
  cotangents = averages.cotangents(x)
  expected = _full_series(g_fn, weights, x, probe, cotangents)
  for memory in ('recompute', 'neumann'):
    averages.assert_equal(
        _average(block, probe, estimator, memory, cotangents), expected)

  # A single outcome is far off.
  threshold = tf.constant(0.9, tf.float64)
  biased = numerics.forward_and_log_det(
      numerics.ResidualFunction(g_fn), weights, x, estimator,
      draw=numerics.Draw(threshold, probe))[1]
  assert np.abs(biased - expected[0]).max() > 1e-6


def test_drawn_mean_agrees_within_four_standard_errors():
  g_fn, weights, x = testing.make_block('dense', scale=0.9)
  g = numerics.ResidualFunction(g_fn)
  estimator = numerics.AdaptiveRoulette(1.0, num_exact_terms=1)

  @tf.function
  def estimate(seed):
    return numerics.forward_and_log_det(
        g, weights, x, estimator, seed=tf.stack([3, seed]))[1]

  values = np.stack([estimate(seed) for seed in tf.range(4000)])
  stderr = values.std(0, ddof=1) / np.sqrt(len(values))
  exact = testing.full_log_det(g_fn, weights, x)
  assert np.all(np.abs(values.mean(0) - exact) < 4 * stderr)
  assert np.all(stderr < 0.05)


@pytest.mark.parametrize('jit_compile', [False, True])
def test_number_of_evaluations_follows_the_threshold(jit_compile):
  g_fn, weights, x = testing.make_block('dense')
  estimator = _ESTIMATORS['from the second term on']
  probe = estimator.draw(x, 3).probe
  survival = _survival(g_fn, weights, x, probe, estimator)
  g = numerics.ResidualFunction(g_fn)

  @tf.function(jit_compile=jit_compile)
  def value(threshold):
    return numerics.forward_and_log_det(
        g, weights, x, estimator, draw=numerics.Draw(threshold, probe))[1]

  jacobian = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  v = probe.numpy()
  for num_terms in (2, 5, 9):
    threshold = (survival[num_terms - 1] + survival[num_terms]) / 2
    u, expected = v, 0.0
    for k in range(1, num_terms + 1):
      u = np.einsum('bij,bi->bj', jacobian, u)
      expected += (-1)**(k + 1) / k * np.sum(u * v, 1) / survival[k - 1]
    np.testing.assert_allclose(
        value(tf.constant(threshold)), expected, atol=1e-12)


@pytest.mark.parametrize('scale', [0.0, 1e-30])
def test_vanishing_jacobians_end_the_series(scale):
  g_fn, weights, x = testing.make_block('dense')
  weights = [scale * w for w in weights]
  estimator = _ESTIMATORS['default']
  _, log_det = numerics.forward_and_log_det(
      numerics.ResidualFunction(g_fn), weights, x, estimator, seed=0)
  np.testing.assert_allclose(log_det, 0.0, atol=1e-25)


def test_seeds_fix_the_draw():
  x = tf.zeros([5, 2, 3])
  estimator = numerics.AdaptiveRoulette()
  draws = [estimator.draw(x, seed) for seed in (1, 1, 2, None, None)]
  assert draws[0].stop == draws[1].stop
  np.testing.assert_array_equal(draws[0].probe, draws[1].probe)
  assert len({float(d.stop) for d in draws}) == 4
  for draw in draws:
    assert 0.0 < draw.stop <= 1.0 and draw.stop.dtype == tf.float64
    assert draw.probe.shape == x.shape and draw.probe.dtype == x.dtype
  # Never zero, where a series of numbers that vanish would never end.
  thresholds = [float(estimator.draw(x, i).stop) for i in range(200)]
  assert 0.4 < np.mean(thresholds) < 0.6


@pytest.mark.parametrize('settings, match', [
    ({'tail': 0.0}, 'tail=0.0: expected a positive, finite number'),
    ({'tail': float('nan')}, 'tail=nan: expected a positive'),
    ({'tail': float('inf')}, 'tail=inf: expected a positive'),
    ({'num_exact_terms': 0}, 'num_exact_terms=0: expected a number from 1'),
    ({'probe': 'normal'}, 'probe=normal: expected one of')])
def test_impossible_settings_are_refused(settings, match):
  with pytest.raises(ValueError, match=match):
    numerics.AdaptiveRoulette(**settings)


@pytest.mark.parametrize('batch_dependent', [True, False])
@pytest.mark.parametrize('num_exact_terms, tail', [(1, 0.3), (3, 2.0)])
def test_survival_is_that_of_its_definition(
    batch_dependent, num_exact_terms, tail):
  rng = np.random.default_rng(0)
  # Sizes that rise now and then: probabilities never do.
  scales = np.array([1.0, 0.5, 0.7, 0.1, 0.2, 0.05])
  u = scales[:, np.newaxis, np.newaxis] * rng.normal(size=[6, 3, 4])
  estimator = numerics.AdaptiveRoulette(
      tail, num_exact_terms=num_exact_terms, batch_dependent=batch_dependent)
  expected = cases.survival(estimator, u)
  threshold = 0.5 * (expected[3].max() + expected[4].max())
  survival = estimator.schedule(
      numerics.Draw(tf.constant(threshold), tf.constant(u[0])))
  state = survival.state
  for k in range(1, 7):
    p = np.reshape(state[0], [-1])
    np.testing.assert_allclose(p, expected[k - 1], rtol=1e-14)
    continues = bool(survival.continues(tf.constant(k), state))
    assert continues == np.any(p >= threshold)
    value_weight, w_weight = survival.weights(tf.constant(k), state)
    np.testing.assert_allclose(
        value_weight, np.where(p >= threshold, 1.0 / p, 0.0), rtol=1e-14)
    np.testing.assert_array_equal(np.reshape(w_weight, [-1]), value_weight)
    state = survival.advance(tf.constant(k), tf.constant(u[k - 1]), state)
  assert not continues
  assert survival.max_terms is None
