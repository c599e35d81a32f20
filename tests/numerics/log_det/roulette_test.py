"""The roulettes: their weights and distributions, by NumPy, and their draws.

Means over all probes and numbers of terms are the matter of
tests/conformance/estimators_test.
"""

import itertools

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import averages
from tests.numerics import cases
from tf_resflow import numerics


def test_weights_follow_the_theorems():
  tail = np.array([1.0, 0.5, 0.25])
  estimator = numerics.RussianRoulette(
      numerics.Geometric(0.5), num_exact_terms=2)
  c = np.concatenate([[1.0, 1.0, 1.0], 1.0 / tail])
  np.testing.assert_allclose(estimator.weights()[:6], c)
  probe = tf.ones([1, 2], tf.float64)
  schedule = estimator.schedule(numerics.Draw(tf.constant(4), probe))
  for k in range(1, 6):
    value_weight, w_weight = schedule.weights(tf.constant(k), ())
    assert value_weight == w_weight == c[k]
    assert bool(schedule.continues(tf.constant(k), ())) == (k <= 4)


def test_one_draw_is_what_it_always_was():
  estimator = numerics.Estimator.get('roulette:poisson:2,exact=2')
  assert estimator.num_samples == 1
  x = tf.zeros([1, 2])
  assert [int(estimator.draw(x, seed).stop) for seed in range(8)] == [
      2, 4, 2, 3, 5, 5, 7, 3]


# Several draws of N, whose weights are averaged.


def _several(num_samples, num_exact_terms=1, probability=0.5):
  return numerics.RussianRoulette(
      numerics.Geometric(probability), num_exact_terms=num_exact_terms,
      num_samples=num_samples)


@loops.each([([2, 5, 3],), ([4, 4, 4],), ([1, 1, 6],)])
def test_weights_of_several_draws_are_their_mean(numbers):
  probe = tf.ones([1, 2], tf.float64)
  one = [_several(1).schedule(numerics.Draw(tf.constant(n), probe))
         for n in numbers]
  schedule = _several(3).schedule(
      numerics.Draw(tuple(map(tf.constant, numbers)), probe))
  for k in map(tf.constant, range(1, 8)):
    singles = [float(s.weights(k, ())[0]) if s.continues(k, ()) else 0.0
               for s in one]
    assert bool(schedule.continues(k, ())) == any(singles)
    np.testing.assert_allclose(
        schedule.weights(k, ()), [np.mean(singles)] * 2, rtol=1e-15)


def test_several_draws_are_independent():
  estimator, x = _several(2, num_exact_terms=0), tf.zeros([1, 2])
  draw = tf.function(lambda seed: tf.stack(estimator.draw(x, seed).stop))
  numbers = np.array([draw(tf.constant([0, i])) for i in range(800)])
  assert abs(np.corrcoef(numbers.T)[0, 1]) < 5.5 / np.sqrt(800)
  error = numbers.std(axis=0) / np.sqrt(800)
  np.testing.assert_array_less(np.abs(numbers.mean(axis=0) - 2.0), 5.5 * error)


def test_variance_given_the_probe_falls_by_the_number_of_draws():
  """Against the closed form, over all pairs of numbers."""
  g_fn, weights, x = testing.make_block('dense')
  distribution = stats.geom(0.4)
  probe = tf.constant(np.random.default_rng(0).normal(size=x.shape))
  num_terms = 40
  u = averages.vectors(g_fn, weights, x, probe, num_terms=num_terms)
  k = np.arange(1, num_terms + 1)
  terms = (-1.0)**(k + 1) / k * np.einsum(
      'kbd,bd->bk', u, probe.numpy().reshape([3, -1]))
  # sum_kl a_k a_l (1 / P(N >= min(k, l)) - 1)
  excess = 1.0 / distribution.sf(np.minimum.outer(k, k) - 1) - 1.0
  expected = np.einsum('bk,bl,kl->b', terms, terms, excess) / 2

  estimator = _several(2, num_exact_terms=0, probability=0.4)
  g = numerics.ResidualFunction(g_fn)

  @tf.function
  def estimate(n, m):
    return estimator.evaluate(
        g, weights, [], x, numerics.Draw((n, m), probe))[1]

  last, mean, square = 16, 0.0, 0.0
  for n, m in itertools.combinations_with_replacement(range(1, last + 1), 2):
    # What is beyond the last number has no further terms that count.
    p = np.prod([distribution.pmf(i) if i < last else distribution.sf(i - 1)
                 for i in (n, m)])
    value = estimate(tf.constant(n), tf.constant(m)).numpy()
    mean += (1 + (n != m)) * p * value
    square += (1 + (n != m)) * p * value**2
  np.testing.assert_allclose(square - mean**2, expected, rtol=1e-6)


def test_for_bound_resolves_the_safe_distribution():
  estimator = numerics.RussianRoulette(
      numerics.SafeGeometric(0.5), num_exact_terms=7)
  assert estimator.for_bound(0.8) == numerics.RussianRoulette(
      numerics.Geometric(0.5 * (1.0 - 0.8**2)), num_exact_terms=7)
  # Other distributions are used as they are.
  assert numerics.RussianRoulette().for_bound(0.8) == numerics.RussianRoulette()


@loops.each([
    ({'num_exact_terms': -1}, 'num_exact_terms=-1: expected a number >= 0'),
    ({'num_samples': 0}, 'num_samples=0: expected a number >= 1')])
def test_impossible_settings_are_refused(settings, message):
  with pytest.raises(ValueError, match=message):
    numerics.RussianRoulette(**settings)


@loops.each([0.0, 1e-30])
def test_vanishing_jacobians_end_the_series(scale):
  g_fn, weights, x = testing.make_block('dense')
  weights = [scale * w for w in weights]
  estimator = numerics.AdaptiveRoulette()
  _, log_det = numerics.forward_and_log_det(
      numerics.ResidualFunction(g_fn), weights, x, estimator, seed=0)
  np.testing.assert_allclose(log_det, 0.0, atol=1e-25)


def test_thresholds():
  """Never zero, where a series of numbers that vanish would never end."""
  estimator, x = numerics.AdaptiveRoulette(), tf.zeros([5, 2, 3])
  thresholds = [estimator.draw(x, i).stop for i in range(200)]
  assert thresholds[0].dtype == tf.float64
  assert 0.0 < np.min(thresholds) and np.max(thresholds) <= 1.0
  assert 0.4 < np.mean(thresholds) < 0.6


@loops.each([
    ({'tail': 0.0}, 'tail=0.0: expected a positive, finite number'),
    ({'tail': float('nan')}, 'tail=nan: expected a positive'),
    ({'tail': float('inf')}, 'tail=inf: expected a positive'),
    ({'num_exact_terms': 0}, 'num_exact_terms=0: expected a number >= 1')])
def test_impossible_settings_of_the_adaptive_one_are_refused(settings, match):
  with pytest.raises(ValueError, match=match):
    numerics.AdaptiveRoulette(**settings)


@loops.each([(1, 0.3), (3, 2.0)], [True, False])
def test_survival_is_that_of_its_definition(
    num_exact_terms, tail, batch_dependent):
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
