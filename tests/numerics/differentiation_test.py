"""Tests of custom gradients, and of zero products.

Vector-Jacobian products are compared with Jacobians in log_det/series_test, and
dropped custom gradients are refused in tests/conditional_flow_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow.numerics import differentiation


def test_vjp_of_a_constant_is_zero():
  x = tf.ones([2, 3])
  _, vjp_fn = differentiation.linearize(
      lambda weights, x: tf.constant([[1.0, 2.0, 3.0]] * 2), [], x)
  np.testing.assert_array_equal(vjp_fn(x), np.zeros([2, 3]))


@loops.each([lambda f: f, lambda f: tf.function(f, autograph=False)])
def test_with_gradient_has_the_given_gradient_of_nested_inputs_once(wrap):
  x, weights = tf.constant([1.0, 2.0]), [tf.constant(3.0), [tf.constant(4.0)]]

  def body(x, weights):
    a, (b,) = weights
    # Another gradient than that of the value, which has to go unused.
    return [a * x + b], [x > 1.5], lambda dy, unused: (
        7.0 * dy, [tf.reduce_sum(dy), [5.0 * b]])

  def run(x, weights):
    with tf.GradientTape() as tape:
      tape.watch([x, weights])
      y, diagnostic = differentiation.with_gradient(body, x, weights)
    return y, diagnostic, tape.gradient(y, [x, weights])

  y, diagnostic, (dx, (da, (db,))) = wrap(run)(x, weights)
  np.testing.assert_array_equal(y, [7.0, 10.0])
  np.testing.assert_array_equal(diagnostic, [False, True])
  np.testing.assert_array_equal(dx, [7.0, 7.0])
  assert (da, db) == (2.0, 20.0)

  def second(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      dx = run(x, weights)[2][0]
    return tape.gradient(dx, x)

  with pytest.raises(LookupError, match='cannot be differentiated again'):
    wrap(second)(x)
