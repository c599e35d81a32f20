"""Rows and columns, against those of the materialised operator."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.numerics.norms import kernels
from tf_resflow.numerics.norms import kernel_norms
from tf_resflow.numerics.norms import operators


@kernels.EACH_SHAPE
@pytest.mark.parametrize('order', [1.0, 1.5, 2.0, np.inf])
def test_norms_are_those_of_the_matrix(shape, spatial_shape, order):
  kernel = np.random.default_rng(0).normal(size=shape)
  operator = operators.LayerOperator(tf.constant(kernel), spatial_shape)
  # [inputs, outputs], channels last in both.
  matrix = testing.materialize(operator.apply, operator.num_inputs)
  if matrix.shape[0] != operator.num_inputs:
    matrix = matrix.T
  rows = np.linalg.norm(matrix, order, axis=0).reshape([-1, shape[-1]])
  columns = np.linalg.norm(matrix, order, axis=1).reshape([-1, shape[-2]])
  np.testing.assert_allclose(
      kernel_norms.row_norms(operator, order), rows.max(axis=0))
  np.testing.assert_allclose(
      kernel_norms.column_norms(operator, order), columns.max(axis=0))


def test_of_an_image_smaller_than_its_kernel():
  """The corners of the kernel never meet a pixel."""
  kernel = np.zeros([3, 3, 1, 1])
  kernel[0, 0] = 5.0
  kernel[1, 1] = 1.0
  one_pixel = operators.LayerOperator(tf.constant(kernel), (1, 1))
  assert float(kernel_norms.row_norms(one_pixel, 1.0)[0]) == 1.0
  assert float(kernel_norms.column_norms(one_pixel, 1.0)[0]) == 1.0
  four = operators.LayerOperator(tf.constant(kernel), (2, 2))
  assert float(kernel_norms.row_norms(four, 1.0)[0]) == 6.0
