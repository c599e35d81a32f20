"""Tests of the exact Jacobian's log-determinant, against differences.

tests/conformance/estimators_test compares it with the full Jacobian.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import numerics

_ESTIMATOR = numerics.Exact()


def _fn(g_fn):
  g = numerics.ResidualFunction(g_fn)
  return lambda weights, x: numerics.forward_and_log_det(
      g, weights, x, _ESTIMATOR)


def test_it_needs_no_draw():
  assert _ESTIMATOR.draw(tf.zeros([2, 3]), 3) is None
  assert not _ESTIMATOR.is_random and not _ESTIMATOR.batch_dependent


def test_value_and_gradient():
  g_fn, weights, x = testing.make_block('dense')
  fn = _fn(g_fn)

  def total(kernel):
    return tf.reduce_sum(fn([tf.constant(kernel), *weights[1:]], x)[1])

  with tf.GradientTape() as tape:
    tape.watch(weights[0])
    log_det = fn(weights, x)[1]
    value = tf.reduce_sum(log_det)
  np.testing.assert_allclose(
      log_det, testing.full_log_det(g_fn, weights, x), atol=1e-13)
  direction = np.random.default_rng(1).normal(size=weights[0].shape)
  actual = np.sum(tape.gradient(value, weights[0]) * direction)
  expected = testing.central_difference(total, weights[0], direction)
  assert actual == pytest.approx(expected, rel=1e-7)


def test_batches_are_as_large_as_a_gigabyte_of_jacobians():
  assert _ESTIMATOR.max_batch_size(100, tf.float64) == 12500
  assert _ESTIMATOR.max_batch_size(20000, tf.float32) == 1
  with pytest.raises(ValueError, match=(
      'estimator=exact: expected another one. The Jacobian of 40000 dimensions '
      'takes 6 GB per example.')):
    _ESTIMATOR.max_batch_size(40000, tf.float32)
