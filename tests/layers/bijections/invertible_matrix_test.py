"""Matrices and their condition, against NumPy."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow.layers.bijections import invertible_matrix

_RNG = np.random.default_rng(0)
_MATRICES = {
    'random': _RNG.normal(size=[5, 5]),
    'permutation': np.eye(5)[[3, 1, 4, 0, 2]],
}


def test_factors():
  """L, U and the scales where the docstring says."""
  rng = np.random.default_rng(1)
  factors, signs = rng.normal(size=[4, 4]), np.array([1.0, -1.0, -1.0, 1.0])
  permutation = np.array([2, 0, 3, 1], np.int32)
  lower = np.tril(factors, -1) + np.eye(4)
  upper = np.triu(factors, 1) + np.diag(signs * np.exp(np.diag(factors)))
  matrix, log_det = invertible_matrix.LU().evaluate({
      'factors': tf.constant(factors), 'signs': tf.constant(signs),
      'permutation': tf.constant(permutation)})
  np.testing.assert_allclose(
      matrix, np.eye(4)[permutation] @ lower @ upper, rtol=1e-13)
  np.testing.assert_allclose(
      log_det, np.linalg.slogdet(matrix)[1], rtol=0, atol=1e-13)


def test_all_trained_numbers_count():
  trained, fixed = invertible_matrix.LU().initial_weights(_MATRICES['random'])
  with tf.GradientTape() as tape:
    factors = tf.constant(trained['factors'])
    tape.watch(factors)
    matrix, _ = invertible_matrix.LU().evaluate({'factors': factors, **fixed})
  assert np.all(tape.gradient(matrix, factors, tf.cos(matrix)) != 0)


@loops.each([False, True], [
    (_MATRICES['random'], np.linalg.cond(_MATRICES['random'], 1)),
    (_MATRICES['permutation'], 1.0),
    (np.diag([1.0, 1e-5]), 1e5),
    (np.array([[1.0, 1.0], [1.0, 1.0 + 1e-9]]), 4e9),
    (np.zeros([2, 2]), np.inf), (np.diag([1.0, np.nan]), np.inf),
    (np.diag([1.0, np.inf]), np.inf), (np.ones([3, 3]), np.inf)])
def test_condition(is_traced, matrix, expected):
  function = invertible_matrix.inverse_and_condition
  if is_traced:
    function = tf.function(function, autograph=False)
  inverse, condition = function(tf.constant(matrix))
  if not np.isfinite(expected):
    assert condition > 1e15  # Rounding may leave something of a zero.
  else:
    np.testing.assert_allclose(condition, expected, rtol=1e-6)
    np.testing.assert_allclose(
        inverse @ matrix, np.eye(len(matrix)), rtol=0, atol=1e-6)


def test_the_limit_lies_with_the_dtype():
  values = [tf.constant(3.0, tf.float64)]
  for dtype, limit in ((tf.float32, 1e4), (tf.float64, 1e12)):
    (value,) = invertible_matrix.checked(
        values, tf.constant(limit, tf.float64), dtype, 'w')
    assert value.dtype == dtype and value == 3.0
    for condition in (2.0 * limit, np.inf, np.nan):
      with pytest.raises(tf.errors.InvalidArgumentError) as error:
        invertible_matrix.checked(
            values, tf.constant(condition, tf.float64), dtype, 'w')
      message = error.value.message
      assert message.startswith('w=condition number ') and '\n' not in message
      assert invertible_matrix.NUMERICALLY_SINGULAR in message
