"""Upper bounds of induced norms `|A|_p->q`, from rows, columns and `|A|_2`.

A row of `A` holds the weights of one output, a column those of one input. For a
convolution these are the taps of its kernel that lie inside of the image: at a
border some fall outside, and in an image smaller than the kernel they do
everywhere.
"""

import functools

import numpy as np
import tensorflow as tf

from tf_resflow.numerics.norms import operators
from tf_resflow.numerics.norms import orders


def largest_norms(operator: operators.LayerOperator, is_of_rows: bool,
                  order: orders.Order) -> tf.Tensor:
  """Returns the largest norm among the rows, or columns, of every channel.

  They are `[c_out]` for rows, and `[c_in]` for columns.
  """
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
  positions = np.arange(size)[:, np.newaxis] + (
      offsets if is_of_rows else -offsets)
  inside = (positions >= 0) & (positions < size)
  return np.ones([1, num_taps], bool) if inside.all(axis=1).any() else inside


def is_closed(domain: orders.Order, codomain: orders.Order) -> bool:
  """Returns whether `|A|_p->q` is the largest norm of a column or of a row.

  For `p = 1` it is the largest `|column|_q`: the unit ball of l_1 has the unit
  vectors and their negatives for corners, a convex function is largest at one
  of these, and A maps them to columns. For `q = inf` it is the largest
  `|row|_p*`: `|y_o| <= |row_o|_p* |x|_p` by Hoelder's inequality, and some x
  attains it.
  """
  return not tf.is_tensor(domain) and not tf.is_tensor(codomain) and (
      domain == 1.0 or codomain == float('inf'))


def closed_norms(operator: operators.LayerOperator) -> tf.Tensor:
  """Returns the norms whose largest is `|A|_p->q`, if `is_closed`.

  Those of the columns `[c_in, 1]` if `p` is 1, else of the rows `[c_out]`; they
  broadcast against the kernel.
  """
  if operator.domain == 1.0:
    return largest_norms(
        operator, is_of_rows=False, order=operator.codomain)[:, tf.newaxis]
  return largest_norms(
      operator, is_of_rows=True, order=orders.dual(operator.domain))


def upper_bounds(operator: operators.LayerOperator, spectral_norm: tf.Tensor
                 ) -> dict[str, tf.Tensor]:
  """Returns upper bounds of `|A|_p->q`, differentiable in kernel and orders.

  With `a = 1/p`, `b = 1/q`, `n` inputs and `m` outputs:

  - 'rows', 'columns': `|A x|_q` is at most the q-norm of `|row_i|_p* |x|_p`
    over the rows, by Hoelder's inequality for each; and `A x` is a sum of
    columns, so `|A x|_q <= sum |x_j| |column_j|_q <= |x|_p` times the p*-norm
    of the `|column_j|_q`.
  - 'riesz_thorin': log `|A|_1/a->1/b` is convex along lines in the square of
    (a, b) (Riesz and Thorin, for the complex norm, which is no smaller). At
    a = 1 it is a norm of columns and at b = 0 one of rows, real and complex
    alike, and where `p <= q` lines through (a, b) join two such points. Two are
    taken, that through (1, 1) and that through (0, 0). Where `p > q`, one goes
    to `p = q` first: `|x|_q <= n^(b - a) |x|_p`, or
    `|y|_q <= m^(b - a) |y|_p`.
  - 'spectral': the same from (1/2, 1/2), where `|A|_2` is known, to the edges
    a = 1 and b = 0; elsewhere from `|x|_2 <= n^max(0, 1/2 - a) |x|_p` and
    `|y|_q <= m^max(0, b - 1/2) |y|_2`.

  The largest row or column of a channel stands for those of all its pixels.

  Args:
    operator: `A`, with `p` and `q`.
    spectral_norm: `|A|_2->2` or a bound of it.

  References:
    Riesz, 1926; Thorin, 1948; Bergh and Loefstroem, 1976, Theorem 1.1.1.
  """
  dtype, domain, codomain = (
      operator.kernel.dtype, operator.domain, operator.codomain)
  a, b = [orders.as_tensor(1.0 / order, dtype) for order in (domain, codomain)]
  n, m = [tf.constant(float(size), dtype) for size in (
      operator.num_inputs, operator.num_outputs)]
  rows, columns = [functools.partial(largest_norms, operator, is_of_rows)
                   for is_of_rows in (True, False)]
  num_positions = operator.num_inputs // operator.kernel.shape[-2]

  def repeated(norms, order):  # The norm over all rows, or columns.
    times = tf.pow(tf.constant(float(num_positions), dtype),
                   orders.as_tensor(1.0 / order, dtype))
    return times * orders.vector_norms(norms, order)

  dual = orders.dual(domain)
  excess = tf.maximum(b - a, 0.0)  # Where p > q.
  return {
      'rows': repeated(rows(dual), codomain),
      'columns': repeated(columns(codomain), dual),
      'riesz_thorin': tf.minimum(
          _between_edges(rows, columns, a + excess, b) * tf.pow(n, excess),
          _between_edges(rows, columns, a, b - excess) * tf.pow(m, excess)),
      'spectral': _from_spectral_norm(
          rows, columns, tf.cast(spectral_norm, dtype), a, b, n, m)}


def upper_bound(*args) -> tf.Tensor:
  """Returns the smallest of `upper_bounds`, which takes the same arguments."""
  return functools.reduce(tf.minimum, upper_bounds(*args).values())


def _between_edges(rows, columns, a, b):
  """Returns the bound of lines between the edges a = 1 and b = 0, for a >= b.

  The line through (0, 0) meets a = 1 at b / a; the line through (1, 1) meets
  b = 0 at (a - b) / (1 - b), whose dual is (1 - a) / (1 - b).
  """
  def divide(x, y):
    # 0 / 0 at a corner, where the exponent is 0 and any order will do.
    return x / tf.where(y > 0.0, y, tf.ones_like(y))

  through_zero = tf.pow(_largest(columns, divide(b, a)), a) * tf.pow(
      _largest(rows, 1.0), 1.0 - a)
  through_one = tf.pow(_largest(columns, 1.0), b) * tf.pow(
      _largest(rows, divide(1.0 - a, 1.0 - b)), 1.0 - b)
  return tf.minimum(through_zero, through_one)


def _from_spectral_norm(rows, columns, spectral_norm, a, b, n, m):
  """Returns the bound of the line from (1/2, 1/2) through (a, b)."""
  right, down = 2.0 * a - 1.0, 1.0 - 2.0 * b
  infinite = tf.constant(float('inf'), a.dtype)
  bounds = [spectral_norm * tf.pow(n, tf.maximum(0.5 - a, 0.0)) * tf.pow(
      m, tf.maximum(b - 0.5, 0.0))]
  # It meets a = 1 at b = 1/2 - down / right / 2, and b = 0 at
  # a = 1/2 + right / down / 2, whose dual is 1/2 - right / down / 2.
  for length, other, norms in ((right, down, columns), (down, right, rows)):
    is_there = (length > 0.0) & (tf.abs(other) <= length)
    safe = tf.where(is_there, length, 1.0)
    inverse = 0.5 - 0.5 * tf.where(is_there, other, 0.0) / safe
    bounds.append(tf.where(
        is_there, tf.pow(_largest(norms, inverse), safe) * tf.pow(
            spectral_norm, 1.0 - safe), infinite))
  return functools.reduce(tf.minimum, bounds)


def _largest(norms, inverse):
  """Returns the largest norm of order `1 / inverse`, or a bound of it."""
  # Norms fall with their order: that of order 1000 is a bound of that of inf.
  return tf.reduce_max(norms(1.0 / tf.maximum(inverse, 1e-3)))
