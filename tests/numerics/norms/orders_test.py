"""Orders, norms and dual vectors, against NumPy and Hoelder's inequality."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow.numerics.norms import orders

_ORDERS = (1.0, 1.2, 2.0, 3.7, np.inf)


def _x(seed=0):
  return np.random.default_rng(seed).normal(size=[4, 3, 5])


@loops.each(_ORDERS, [-1, 0, ((0, 2),), ((0, 1, 2),)])
def test_norms(order, axis):
  x = _x()
  moved = np.moveaxis(x, axis, range(-np.size(axis), 0))
  flat = moved.reshape([*moved.shape[:x.ndim - np.size(axis)], -1])
  expected = np.linalg.norm(flat, order, axis=-1)
  found = orders.vector_norms(tf.constant(x), order, axis)
  np.testing.assert_allclose(found, expected, rtol=1e-13)
  kept = orders.vector_norms(tf.constant(x), order, axis, keepdims=True)
  assert kept.shape.rank == 3
  np.testing.assert_allclose(np.ravel(kept), np.ravel(found))
  if order != np.inf:
    learned = orders.vector_norms(
        tf.constant(x), tf.constant(order, tf.float64), axis)
    np.testing.assert_allclose(learned, expected, rtol=1e-13)


@loops.each([1e-35, 1.0, 1e35])
def test_norms_of_any_size(scale):
  x = tf.constant(scale * _x(), tf.float32)
  np.testing.assert_allclose(
      orders.vector_norms(x, 3.0), scale * np.linalg.norm(
          _x(), 3.0, axis=-1), rtol=1e-5)


@loops.each(_ORDERS)
def test_dual_vectors_attain_the_norm(order):
  x = tf.constant(_x())
  u = orders.dual_vectors(x, order)
  norms = orders.vector_norms(x, order)
  np.testing.assert_allclose(tf.reduce_sum(u * x, axis=-1), norms)
  np.testing.assert_allclose(
      orders.vector_norms(u, orders.dual(order)), np.ones([4, 3]))
  others = np.random.default_rng(1).normal(size=[1000, 1, 1, 5])
  others /= np.linalg.norm(others, orders.dual(order), axis=-1, keepdims=True)
  assert np.all(np.sum(others * x, axis=-1) <= norms + 1e-12)


@loops.each(_ORDERS)
def test_of_zeros(order):
  zeros = tf.zeros([2, 3])
  with tf.GradientTape() as tape:
    tape.watch(zeros)
    norms = orders.vector_norms(zeros, order)
  np.testing.assert_array_equal(norms, [0.0, 0.0])
  np.testing.assert_array_equal(tape.gradient(norms, zeros), zeros)
  np.testing.assert_array_equal(orders.dual_vectors(zeros, order), zeros)


@loops.each([1.3, 2.0, 4.5])
def test_derivatives(order):
  """Derivatives by entries, some of which are 0, and by the order."""
  x = _x()[0, 0]
  x[1] = 0.0
  order = tf.constant(order, tf.float64)
  x = tf.constant(x)
  with tf.GradientTape() as tape:
    tape.watch([x, order])
    norm = orders.vector_norms(x, order)
  dx, dorder = tape.gradient(norm, [x, order])
  one = tf.constant(1.0, tf.float64)
  assert float(dorder) == pytest.approx(float(testing.central_difference(
      lambda value: orders.vector_norms(x, value), order, one)), rel=1e-7)
  direction = tf.constant([1.0, 0.0, -0.3, 2.0, 0.7], tf.float64)
  assert float(tf.reduce_sum(direction * dx)) == pytest.approx(float(
      testing.central_difference(
          lambda x: orders.vector_norms(x, order), x, direction)), rel=1e-7)
  assert dx[1] == 0.0


def test_learned_orders_lie_in_1_to_5():
  raw = np.linspace(-40.0, 40.0, 2001)
  values = np.array([orders.squashed(tf.constant(t)) for t in raw])
  a = np.arctanh(0.5) - raw
  expected = 3.0 - 2.0 * np.tanh(
      0.3 * a + 0.7 * np.where(a > 0.0, a, np.expm1(np.minimum(a, 0.0))))
  inner = expected > 1.001
  np.testing.assert_allclose(values[inner], expected[inner], rtol=1e-13)
  assert np.all(np.diff(values) >= 0.0)
  assert values.min() == 1.001 and 4.99 < values.max() <= 5.0
  assert float(orders.squashed(tf.constant(0.0, tf.float64))) == pytest.approx(
      2.0, abs=1e-15)
