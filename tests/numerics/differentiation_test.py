"""Tests of the guard of second derivatives, and of zero products.

Vector-Jacobian products are compared with Jacobians in log_det/series_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow.numerics import differentiation

_EAGERLY_AND_IN_A_GRAPH = loops.each(
    [lambda f: f, lambda f: tf.function(f, autograph=False)])


def test_vjp_of_a_constant_is_zero():
  x = tf.ones([2, 3])
  _, vjp_fn = differentiation.linearize(
      lambda weights, x: tf.constant([[1.0, 2.0, 3.0]] * 2), [], x)
  np.testing.assert_array_equal(vjp_fn(x), np.zeros([2, 3]))


def _guarded_second_derivative(x, is_guarded):
  """Differentiates a gradient that is 3 x, wrapped or not."""
  with tf.GradientTape() as tape:
    tape.watch(x)
    gradient = 3.0 * tf.stop_gradient(x) + 0.0 * x
    if is_guarded:
      gradient, = differentiation._once_differentiable([gradient], [x])
  return gradient, tape.gradient(gradient, x)


@_EAGERLY_AND_IN_A_GRAPH
def test_guard_refuses_and_without_it_the_number_would_be_wrong(wrap):
  x = tf.constant([1.0, 2.0])
  wrong = wrap(lambda x: _guarded_second_derivative(x, False))(x)[1]
  np.testing.assert_array_equal(wrong, [0.0, 0.0])  # 3 would be right.
  with pytest.raises(LookupError, match='cannot be differentiated again'):
    wrap(lambda x: _guarded_second_derivative(x, True))(x)


def test_guard_refuses_dependence_on_any_input():
  x, weight = tf.constant(2.0), tf.constant(3.0)
  with tf.GradientTape() as tape:
    tape.watch(weight)
    gradient, = differentiation._once_differentiable([x], [x, weight])
  with pytest.raises(LookupError, match="memory='naive'"):
    tape.gradient(gradient, weight)


def _square(x, is_guarded):
  """`x^2`, whose custom gradient is that of `x^3`, guarded or not."""

  @tf.custom_gradient
  def square(x):
    y = tf.stop_gradient(x)**2
    if is_guarded:
      y, = differentiation._only_custom_gradient([y], [x])
    return y, lambda dy: 3.0 * x**2 * dy

  return square(x)


def _value_and_gradient(fn, x):
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = fn(x)
  return y, tape.gradient(y, x)


def test_dropped_custom_gradients_are_refused_where_they_would_vanish():
  x = tf.constant([[1.0, 2.0], [3.0, 4.0]])

  @tf.function(autograph=False)
  def run(x, is_guarded):
    return _value_and_gradient(
        lambda x: tf.vectorized_map(
            lambda row: _square(row, is_guarded), x), x)

  np.testing.assert_array_equal(run(x, False)[1], tf.zeros([2, 2]))
  with pytest.raises(LookupError, match='was dropped, as tf.vectorized_map'):
    run(x, True)
  # Values are right.
  np.testing.assert_array_equal(
      tf.vectorized_map(lambda row: _square(row, True), x), x**2)


@_EAGERLY_AND_IN_A_GRAPH
def test_custom_gradients_that_are_kept_go_through(wrap):
  x = tf.constant([1.0, 2.0])
  fn = wrap(lambda x: _square(x, True))
  for run in (lambda x: _value_and_gradient(fn, x),
              wrap(lambda x: _value_and_gradient(fn, x))):
    y, gradient = run(x)
    np.testing.assert_array_equal(y, x**2)
    np.testing.assert_array_equal(gradient, 3.0 * x**2)


@_EAGERLY_AND_IN_A_GRAPH
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
