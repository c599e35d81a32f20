"""Norms of the rows and columns of a dense or convolutional operator.

With `y = A x`, a row of `A` holds what one output is made of, a column where
one input goes. Those of a convolution are its kernel's, where it lies inside of
the image; at a border some taps fall outside, and in an image smaller than the
kernel they do everywhere.
"""

import numpy as np
import tensorflow as tf

from tf_resflow.numerics.norms import operators
from tf_resflow.numerics.norms import orders


def row_norms(
    operator: operators.LayerOperator, order: orders.Order) -> tf.Tensor:
  """Returns the largest norm among the rows of every output channel.

  Args:
    operator: of the layer, `A`.
    order: `r` of the norm of a row.

  Returns:
    `[c_out]`. With `r = p*`, `|A|_p->inf` is the largest of them: `|y_o|` is at
    most `|row_o|_p* |x|_p` by Hoelder's inequality, and some x attains it.
  """
  return _largest_norms(operator, order, is_of_rows=True)


def column_norms(
    operator: operators.LayerOperator, order: orders.Order) -> tf.Tensor:
  """Returns the largest norm among the columns of every input channel.

  Args:
    operator: of the layer, `A`.
    order: `r` of the norm of a column.

  Returns:
    `[c_in]`. With `r = q`, `|A|_1->q` is the largest of them: the unit ball of
    l_1 has the unit vectors and their negatives for corners, a convex function
    is largest at one of these, and A maps them to columns.
  """
  return _largest_norms(operator, order, is_of_rows=False)


def _largest_norms(operator, order, is_of_rows):
  kernel = operator.kernel
  if operator.spatial_shape is None:
    return orders.vector_norms(kernel, order, axis=0 if is_of_rows else 1)
  masks = [
      _taps_inside(size, taps, is_of_rows)
      for size, taps in zip(operator.spatial_shape, kernel.shape[:2],
                            strict=True)]
  # [positions, kh, kw, 1, 1]
  inside = np.einsum('hs,wt->hwst', *masks).reshape(
      [-1, *kernel.shape[:2], 1, 1])
  inside = np.unique(inside, axis=0)
  norms = [
      orders.vector_norms(
          kernel * tf.constant(taps, kernel.dtype), order,
          axis=(0, 1, 2) if is_of_rows else (0, 1, 3))
      for taps in inside]
  return tf.reduce_max(tf.stack(norms), axis=0)


def _taps_inside(size, num_taps, is_of_rows):
  """Returns which taps lie inside, bool `[1 or size, num_taps]`.

  Along one axis, of an image of `size` pixels, position by position; where one
  position has all taps inside, that one, since the others have fewer.
  """
  offsets = np.arange(num_taps) - (num_taps - 1) // 2
  places = np.arange(size)[:, np.newaxis] + (
      offsets if is_of_rows else -offsets)
  inside = (places >= 0) & (places < size)
  return np.ones([1, num_taps], bool) if inside.all(axis=1).any() else inside
