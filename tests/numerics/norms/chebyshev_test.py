"""Tests of rows filtered by a polynomial of a map."""

import numpy as np
from numpy.polynomial import chebyshev as polynomials
import tensorflow as tf

from tests import loops
from tests.numerics.norms import kernels
from tf_resflow.numerics.norms import chebyshev
from tf_resflow.numerics.norms import operators


@loops.each([
    # By squaring, and by the recurrence: dense, and convolutions.
    ((20, 30), None, 0.9), ((20, 30), None, 1.001), ((20, 30), None, 0.2),
    ((3, 3, 2, 5), (4, 5), 0.97), ((200, 220), None, 0.98),
    ((200, 220), None, 0.3), ((3, 3, 2, 5), (10, 11), 0.995)])
def test_rows_are_those_of_the_polynomial(shape, spatial_shape, share):
  # Computed from eigenvalues.
  kernel = kernels.random(shape)
  kernel /= np.abs(kernel).max()
  operator = operators.LayerOperator(tf.constant(kernel), spatial_shape)
  matrix = kernels.matrix(operator)
  gram = matrix.T @ matrix if (
      matrix.shape[1] < matrix.shape[0]) else matrix @ matrix.T
  values, vectors = np.linalg.eigh(gram)
  norm = share * np.sqrt(values[-1])
  rows = kernels.random((3, operator.size), seed=1)
  actual = chebyshev.filtered(
      operator, tf.constant(rows), tf.constant(norm, tf.float64))
  factors = polynomials.chebval(2.0 * values / norm**2 - 1.0, [0.0] * 64 + [1])
  expected = (rows @ vectors * (factors / factors.max())) @ vectors.T
  expected /= np.linalg.norm(expected, axis=1, keepdims=True)
  np.testing.assert_allclose(actual, expected, atol=1e-7)


def test_a_norm_that_is_far_too_small_gives_the_leading_vector():
  # As of a zero block: T_64 would be above 1e200, so float32 needs scales.
  kernel = np.float32(kernels.random((300, 250)) + 0.3)
  kernel /= np.abs(kernel).max()
  for matrix in (kernel, kernel[:150, :130]):
    operator = operators.LayerOperator(tf.constant(matrix))
    row = chebyshev.filtered(
        operator, tf.constant(np.float32(kernels.random((1, operator.size)))),
        tf.constant(0.0))
    np.testing.assert_allclose(
        np.linalg.norm(operator.matvec(row)), np.linalg.norm(matrix, 2),
        rtol=1e-4)
