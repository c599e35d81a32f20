"""The roulettes: their weights and distributions, by NumPy, and their draws.

Means over all probes and numbers of terms are the matter of
tests/conformance/estimators_test.
"""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import cases
from tf_resflow import numerics


def test_one_draw_is_what_it_always_was():
  estimator = numerics.Estimator.get('roulette:poisson:2,exact=2')
  assert estimator.num_samples == 1
  x = tf.zeros([1, 2])
  assert [int(estimator.draw(x, seed).stop) for seed in range(8)] == [
      2, 4, 2, 3, 5, 5, 7, 3]


# Several draws of N, whose weights are averaged.


def _several(num_samples, num_exact_terms=1):
  return numerics.RussianRoulette(
      numerics.Geometric(0.5), num_exact_terms=num_exact_terms,
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


def test_for_bound_resolves_the_safe_distribution():
  estimator = numerics.RussianRoulette(
      numerics.SafeGeometric(0.5), num_exact_terms=7)
  assert estimator.for_bound(0.8) == numerics.RussianRoulette(
      numerics.Geometric(0.5 * (1.0 - 0.8**2)), num_exact_terms=7)
  # Other distributions are used as they are.
  assert numerics.RussianRoulette().for_bound(0.8) == numerics.RussianRoulette()


_ADAPTIVE = numerics.AdaptiveRoulette


@loops.each([
    (numerics.RussianRoulette, {'num_exact_terms': -1}, '-1: expected a number'
     ' >= 0'),
    (numerics.RussianRoulette, {'num_samples': 0}, '0: expected a number >= 1'),
    (_ADAPTIVE, {'tail': 0.0}, '0.0: expected a positive, finite number'),
    (_ADAPTIVE, {'tail': float('nan')}, 'nan: expected a positive'),
    (_ADAPTIVE, {'tail': float('inf')}, 'inf: expected a positive'),
    (_ADAPTIVE, {'num_exact_terms': 0}, '0: expected a number >= 1')])
def test_impossible_settings_are_refused(kind, settings, message):
  (name,) = settings
  testing.check_refusal(kind, settings, f'{name}={message}')


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
