"""Tests of the linear map of a layer.

Oracle: the matrix of the layer, assembled by loops over taps and positions.
"""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics.norms import kernels


def _layer_matrix(kernel, spatial_shape):
  """Matrix `[inputs, outputs]` of the layer."""
  if spatial_shape is None:
    return kernel
  height, width = spatial_shape
  num_rows, num_columns, c_in, c_out = kernel.shape
  matrix = np.zeros([height, width, c_in, height, width, c_out])
  for i in range(height):
    for j in range(width):
      for a in range(num_rows):
        for b in range(num_columns):
          row, column = i + a - num_rows // 2, j + b - num_columns // 2
          if 0 <= row < height and 0 <= column < width:
            matrix[row, column, :, i, j, :] = kernel[a, b]
  return matrix.reshape([height * width * c_in, height * width * c_out])


@kernels.EACH_SHAPE
def test_matvec_is_the_layer_or_its_transpose(shape, spatial_shape):
  """And `rmatvec` its adjoint."""
  operator = kernels.operator(shape, spatial_shape)
  expected = _layer_matrix(operator.kernel.numpy(), spatial_shape)
  np.testing.assert_allclose(
      testing.materialize(operator.apply, operator.num_inputs), expected,
      atol=1e-12)
  if shape[-1] < shape[-2]:
    expected = expected.T
  assert operator.size == expected.shape[0] <= expected.shape[1]
  np.testing.assert_allclose(
      testing.materialize(operator.matvec, operator.size), expected,
      atol=1e-12)
  np.testing.assert_allclose(
      testing.materialize(operator.rmatvec, expected.shape[1]), expected.T,
      atol=1e-12)


@loops.each(kernels.SHAPES[1:5] + kernels.SHAPES[-1:], [False, True])
def test_sizes_are_known_where_the_number_of_vectors_is_not(
    shape, spatial_shape, transpose):
  operator = kernels.operator(shape, spatial_shape)
  sizes = [operator.num_inputs, operator.num_outputs]
  size, expected = sizes[::-1] if transpose else sizes
  apply = tf.function(
      lambda x: operator.apply(x, transpose),
      input_signature=[tf.TensorSpec([None, size], tf.float64)])
  assert apply.get_concrete_function().output_shapes.as_list() == [
      None, expected]
