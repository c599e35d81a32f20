"""Directions that a linear map lengthens by more than a known factor."""

from collections.abc import Callable

import tensorflow as tf

from tf_resflow.numerics.norms import operators

# Below this size `W^T W` is made, and the polynomial by squaring: for maps of
# few numbers the number of operations is what takes time.
_MAX_MATRIX_SIZE = 192
_LOG2_DEGREE = 6
# Before these squarings, and between this number of steps, numbers are divided
# by their largest, or they would leave the range of the dtype.
_SCALED = (2, 5)
_NUM_UNROLLED = 4
_TINY = 1e-30


def filtered(operator: operators.LayerOperator, rows: tf.Tensor,
             norm: tf.Tensor) -> tf.Tensor:
  """Returns unit rows along `T_64(2 A / norm^2 - 1) v`, with `A = W^T W`.

  The component of `v` along a singular vector for `sigma` is multiplied by the
  Chebyshev polynomial `T_64(2 t^2 - 1) = T_128(t)` of `t = sigma / norm`. That
  is at most 1 in absolute value if `sigma <= norm`, and `cosh(128 arcosh(t))`
  above: 153 at 1.001, 1.8e5 at 1.005. No other polynomial of that degree with
  the same bound is larger there. So a random row, filtered, is almost the
  leading singular vector if that factor is far above `sqrt(D)`: for 2,048
  dimensions if `norm` is too small by 0.2 %, for 65,536 by 0.3 %. It fails
  where the row has nearly no component along that vector: one below `a`, for
  rows of normal numbers, with a probability of `0.8 a`.

  Args:
    operator: the map `W`, which `matvec` applies, of a kernel whose largest
      entry is 1: so 1 is taken for a smaller `norm`.
    rows: `[m, D]`, random.
    norm: scalar, a lower bound of the norm of `W`.

  References:
    Saad, 1984, Chebyshev Acceleration Techniques for Solving Nonsymmetric
    Eigenvalue Problems; Zhou et al., 2006, Self-consistent-field Calculations
    Using Chebyshev-filtered Subspace Iteration.
  """
  half = 2.0 / tf.square(tf.maximum(norm, 1.0))
  if operator.size <= _MAX_MATRIX_SIZE:
    return _by_squaring(operator, rows, half)
  normal_map = operator.normal_map()
  return _by_recurrence(lambda v: half * normal_map(v) - v, rows)


def _by_squaring(operator, rows, half):
  """Returns the rows, by `N_2n = N_n^2 - 2` for matrices `N_n = 2 T_n`."""
  identity = tf.eye(operator.size, dtype=rows.dtype)
  gram = operator.rmatvec(operator.matvec(identity))
  matrix, scale = 2.0 * (half * gram - identity), 1.0  # `scale` times `N_n`.
  for i in range(_LOG2_DEGREE):
    if i in _SCALED:
      factor = 1.0 / tf.maximum(tf.reduce_max(tf.abs(matrix)), 1.0)
      matrix, scale = factor * matrix, factor * scale
    scale = scale * scale
    matrix = tf.matmul(matrix, matrix) - 2.0 * scale * identity
  return _unit_rows(tf.matmul(rows, matrix))


def _by_recurrence(
    function: Callable[[tf.Tensor], tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
  """Returns the rows, by `T_n+1 = 2 x T_n - T_n-1` for vectors."""

  def body(step, before, now):
    for _ in range(_NUM_UNROLLED):
      before, now = now, 2.0 * function(now) - before
    norms = tf.maximum(tf.norm(now, axis=1, keepdims=True), 1.0)
    return step + 1, before / norms, now / norms

  rows = _unit_rows(rows)
  # T_-1 = T_1, so the first step has half its sum.
  *_, rows = tf.while_loop(
      lambda step, *_: step < 2**_LOG2_DEGREE // _NUM_UNROLLED, body,
      (tf.constant(0), function(rows), rows), parallel_iterations=1,
      name='chebyshev')
  return _unit_rows(rows)


def _unit_rows(rows):
  return rows / tf.maximum(tf.norm(rows, axis=1, keepdims=True), _TINY)
