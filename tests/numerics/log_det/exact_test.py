"""Tests of the exact Jacobian and of its log-determinant.

Oracles: NumPy's slogdet of TensorFlow's Jacobian, finite differences.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.numerics import averages
from tf_resflow import numerics

_ESTIMATOR = numerics.Exact()
_EACH_KIND = pytest.mark.parametrize('kind', ['dense', 'conv'])


def _fn(g_fn):
  g = numerics.ResidualFunction(g_fn)
  return lambda weights, x: numerics.forward_and_log_det(
      g, weights, x, _ESTIMATOR)


def test_it_needs_no_draw():
  assert _ESTIMATOR.draw(tf.zeros([2, 3]), 3) is None
  assert not _ESTIMATOR.is_random and not _ESTIMATOR.batch_dependent


@_EACH_KIND
def test_value_and_gradients_eager_and_graph(kind):
  g_fn, weights, x = block = testing.make_block(kind)
  matrices = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  _, expected = np.linalg.slogdet(np.eye(matrices.shape[-1]) + matrices)
  cotangents = averages.cotangents(x)
  _, expected_gradients = averages.oracle(
      testing.full_log_det, block, cotangents)
  eager = _fn(g_fn)
  traced = tf.function(eager, input_signature=[
      [tf.TensorSpec(w.shape, w.dtype) for w in weights],
      tf.TensorSpec([None, *x.shape[1:]], x.dtype)])
  for fn in (eager, traced):
    y, log_det = fn(weights, x)
    np.testing.assert_allclose(y, x + g_fn(weights, x), atol=1e-14)
    np.testing.assert_allclose(log_det, expected, atol=1e-13)
    actual = testing.gradients(fn, weights, x, cotangents)
    assert testing.relative_error(actual, expected_gradients) < 1e-11


def test_gradient_is_that_of_finite_differences():
  g_fn, weights, x = testing.make_block('dense')
  fn = _fn(g_fn)

  def total(kernel):
    return tf.reduce_sum(fn([tf.constant(kernel), *weights[1:]], x)[1])

  with tf.GradientTape() as tape:
    tape.watch(weights[0])
    value = tf.reduce_sum(fn(weights, x)[1])
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
