"""The adaptive roulette: its law, by matrix powers in NumPy, and its draws.

Its exact means are the matter of tests/conformance/estimators_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics import cases
from tf_resflow import numerics


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
    ({'num_exact_terms': 0}, 'num_exact_terms=0: expected a number from 1')])
def test_impossible_settings_are_refused(settings, match):
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
