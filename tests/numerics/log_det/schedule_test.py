"""Tests of when series end, and of the weights until then."""

import numpy as np
import pytest
import tensorflow as tf

from tests.numerics import cases
from tf_resflow import numerics
from tf_resflow.numerics.log_det import schedule


def test_tabulated_weights():
  weights = np.array([1.0, 1.0, 2.0, 4.0])
  table = schedule.TabulatedSchedule(
      tf.constant(2), weights, None, tf.float64)
  assert [bool(table.continues(tf.constant(k), ())) for k in (1, 2, 3)] == [
      True, True, False]
  assert table.max_terms == 3
  for k in (1, 2, 3):
    assert table.weights(tf.constant(k), ()) == (weights[k], weights[k])
  assert table.advance(tf.constant(1), tf.ones([1, 2]), ()) == ()


def test_gradient_vectors_may_have_weights_of_their_own():
  table = schedule.TabulatedSchedule(
      tf.constant(2), np.array([1.0, 1.0, 1.0]), np.array([1.0, 1.0, 0.0]),
      tf.float32)
  value_weight, w_weight = table.weights(tf.constant(2), ())
  assert (value_weight, w_weight) == (1.0, 0.0)
  assert value_weight.dtype == w_weight.dtype == tf.float32


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
