"""Linear maps that a condition chooses, well conditioned for every one."""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import layers

_NUM_CONDITIONS = 300


@loops.each([2, 5])
def test_no_condition_stretches_beyond_the_bounds(size):
  """Conditions so far that every tanh saturates."""
  linear = layers.ConditionalLinear(3, dtype='float64')
  linear.build((None, size))
  rng = np.random.default_rng(0)
  linear.kernel.assign(rng.normal(size=linear.kernel.shape))
  scales = 10.0**rng.uniform(-2.0, 8.0, size=[_NUM_CONDITIONS, 1])
  condition = tf.constant(scales * rng.normal(size=[_NUM_CONDITIONS, 3]))
  x = tf.constant(rng.normal(size=[_NUM_CONDITIONS, size]))
  jacobian = testing.full_jacobian(lambda x: linear(x, condition=condition), x)
  values = np.linalg.svd(jacobian, compute_uv=False)
  bounds = linear.slope_bounds()
  assert bounds.least <= values.min() and values.max() <= bounds.greatest
  # The bounds are of the right size.
  assert values.max() > 0.3 * bounds.greatest
  np.testing.assert_allclose(
      linear.forward_and_log_det(x, condition=condition)[1],
      np.linalg.slogdet(jacobian)[1], rtol=0, atol=1e-8)
  y = linear(x, condition=condition)
  np.testing.assert_allclose(
      linear.inverse(y, condition=condition), x, rtol=0, atol=1e-10)


def test_pixels_have_one_matrix_each():
  linear = layers.ConditionalLinear(2, dtype='float64')
  linear.build((None, 2, 3, 2))
  linear.kernel.assign(np.random.default_rng(0).normal(size=[2, 4]))
  x = tf.constant(np.random.default_rng(1).normal(size=[1, 2, 3, 2]))
  condition = tf.constant([[0.5, -1.0]], tf.float64)
  y, log_det = linear.forward_and_log_det(x, condition=condition)
  pixel = layers.ConditionalLinear(2, dtype='float64')
  pixel.build((None, 2))
  pixel.kernel.assign(linear.kernel)
  flat, flat_log_det = pixel.forward_and_log_det(
      tf.reshape(x, [6, 2]), condition=condition)
  np.testing.assert_allclose(tf.reshape(y, [6, 2]), flat, rtol=1e-12)
  np.testing.assert_allclose(log_det, [tf.reduce_sum(flat_log_det)])


def test_begins_as_the_identity():
  x = tf.ones([2, 3])
  linear = layers.ConditionalLinear(4)
  np.testing.assert_array_equal(linear(x, condition=tf.ones([2, 4])), x)
