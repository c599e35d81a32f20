"""Tests of the exact Jacobian and log-determinant.

Oracles: TensorFlow's batch_jacobian, numpy's slogdet, finite differences.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow.numerics import jacobian

_EACH_BLOCK = pytest.mark.parametrize('kind', ['dense', 'conv'])


@_EACH_BLOCK
def test_jacobian_is_that_of_tensorflow(kind):
  g_fn, weights, x = testing.make_block(kind)

  def fn(x):
    return g_fn(weights, x)

  expected = testing.full_jacobian(fn, x)
  actual = jacobian.batch_jacobian(fn, x)
  np.testing.assert_allclose(actual, expected, atol=1e-14)
  # Not its transpose.
  assert np.abs(tf.linalg.matrix_transpose(actual) - expected).max() > 1e-2


def test_jacobian_need_not_be_square_nor_connected():
  x = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
  actual = jacobian.batch_jacobian(lambda x: x[:, :2]**2, x)
  np.testing.assert_allclose(
      actual, [[[2, 0, 0], [0, 4, 0]], [[8, 0, 0], [0, 10, 0]]])
  constant = jacobian.batch_jacobian(lambda x: tf.ones([2, 2]), x)
  np.testing.assert_array_equal(constant, np.zeros([2, 2, 3]))


@_EACH_BLOCK
def test_log_det_and_gradients_eager_and_graph(kind):
  g_fn, weights, x = testing.make_block(kind)
  matrices = testing.full_jacobian(lambda x: g_fn(weights, x), x).numpy()
  _, expected = np.linalg.slogdet(np.eye(matrices.shape[-1]) + matrices)

  def log_det(weights, x):
    return jacobian.exact_log_det(lambda x: g_fn(weights, x), x)

  cotangent = tf.constant([0.0, 1.5, -0.7], tf.float64)
  expected_gradients = testing.gradients(
      lambda w, x: testing.full_log_det(g_fn, w, x), weights, x, cotangent)
  traced = tf.function(log_det, input_signature=[
      [tf.TensorSpec(w.shape, w.dtype) for w in weights],
      tf.TensorSpec([None, *x.shape[1:]], x.dtype)])
  for fn in (log_det, traced):
    np.testing.assert_allclose(fn(weights, x), expected, atol=1e-13)
    actual = testing.gradients(fn, weights, x, cotangent)
    assert testing.relative_error(actual, expected_gradients) < 1e-11


def test_gradient_is_that_of_finite_differences():
  g_fn, weights, x = testing.make_block('dense')

  def total(kernel):
    return tf.reduce_sum(jacobian.exact_log_det(
        lambda x: g_fn([tf.constant(kernel), *weights[1:]], x), x))

  with tf.GradientTape() as tape:
    tape.watch(weights[0])
    value = tf.reduce_sum(
        jacobian.exact_log_det(lambda x: g_fn(weights, x), x))
  direction = np.random.default_rng(1).normal(size=weights[0].shape)
  actual = np.sum(tape.gradient(value, weights[0]) * direction)
  expected = testing.central_difference(total, weights[0], direction)
  assert actual == pytest.approx(expected, rel=1e-7)
