"""Tests of the exact Jacobian, against TensorFlow's batch_jacobian.

Log-determinants and the sizes of batches are the matter of exact_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow.numerics.log_det import jacobian

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
def test_it_is_differentiable_eager_and_graph(kind):
  g_fn, weights, x = testing.make_block(kind)

  def make(jacobian_fn):
    return lambda weights, x: jacobian_fn(lambda x: g_fn(weights, x), x)

  actual_fn = make(jacobian.batch_jacobian)
  shape = actual_fn(weights, x).shape
  cotangent = tf.constant(np.random.default_rng(7).normal(size=shape))
  expected = testing.gradients(
      make(testing.full_jacobian), weights, x, cotangent)
  traced = tf.function(actual_fn, input_signature=[
      [tf.TensorSpec(w.shape, w.dtype) for w in weights],
      tf.TensorSpec([None, *x.shape[1:]], x.dtype)])
  for fn in (actual_fn, traced):
    actual = testing.gradients(fn, weights, x, cotangent)
    assert testing.relative_error(actual, expected) < 1e-11
