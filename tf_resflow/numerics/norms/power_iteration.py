"""The spectral norm of a linear map by warm-started block power iteration.

Plain power iteration needs hundreds of steps where singular values are close,
as those of convolutions are. Each step here takes the best vectors of a larger
space: the block, its residuals and the last directions of change (the locally
optimal block method of Knyazev, 2001, on `W^T W`, without preconditioner). For
one application of the map and of its transpose per step, that is 5 to 10 times
fewer steps from a random start.
"""

from collections.abc import Callable
import functools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_resflow.numerics import tracing
from tf_resflow.numerics.norms import chebyshev
from tf_resflow.numerics.norms import operators

# Directions of the search space whose Gram eigenvalue is relatively smaller
# than this depend on the others up to rounding, and are left out.
_INDEPENDENT = 1e-5
# Up to this size the eigenvalues of `W^T W` are computed, which is exact, and
# takes less time than three steps.
_MAX_DIRECT_SIZE = 64
# What a search has found is added to the block if it is lengthened by more than
# this share of the norm, for at least this number of steps.
_NEAR = 0.95
_MIN_FOUND_STEPS = 3
_TINY = 1e-30


class _Residuals(NamedTuple):
  """Residuals of a block of vectors as singular vectors, `A = W^T W`."""

  directions: tf.Tensor  # [k, D], unit rows along A v - sigma^2 v
  residual: tf.Tensor  # scalar, of the first row, see `power_iteration`
  squares: tf.Tensor  # [k, 1], sigma^2 = v^T A v
  first_square: tf.Tensor  # scalar, that of the first row


def _norm(x):
  return tf.sqrt(tf.reduce_sum(x * x))


def _row_norms(x):
  return tf.norm(x, axis=1, keepdims=True)


def _unit_rows(x, norms):
  return x / tf.maximum(norms, _TINY)


def _residuals(v, image):
  squares = tf.reduce_sum(v * image, axis=1, keepdims=True)
  first_square = squares[0, 0]
  # Scaled before norms are taken: squares of small kernels underflow.
  r = (image - squares * v) / tf.maximum(first_square, _TINY)
  norms = _row_norms(r)
  return _Residuals(_unit_rows(r, norms), norms[0, 0], squares, first_square)


def _finite_products(x, y):
  """Inner products `[m, m]` of the rows; zero where they are not finite.

  The norm of a diverged kernel is then not finite, where the eigenvalue solver
  would crash.
  """
  products = tf.matmul(x, y, transpose_b=True)
  return tf.where(
      tf.math.is_finite(products), products, tf.zeros_like(products))


def _leading_combinations(space, images, num_vectors):
  """Rayleigh-Ritz: the combinations `[k, m]` of rows that `A` lengthens most.

  Of unit rows or zeros `[m, D]`. The combined rows are orthonormal, best first,
  if at least `k` directions are independent.
  """
  eigenvalues, q = tf.linalg.eigh(_finite_products(space, space))
  keep = eigenvalues > _INDEPENDENT * tf.reduce_max(eigenvalues)
  basis = q * tf.where(
      keep, tf.math.rsqrt(tf.where(keep, eigenvalues, 1.0)), 0.0)
  # Only the lower triangle is read, so rounding leaves it symmetric.
  gram = _finite_products(tf.matmul(basis, space, transpose_a=True),
                          tf.matmul(basis, images, transpose_a=True))
  # Directions that were left out come last, after those that the map sends to
  # zero: they would put a row of zeros into the block.
  size = space.shape[0]
  gram = tf.where(~keep & np.eye(size, dtype=bool),
                  -tf.maximum(tf.reduce_max(gram), _TINY), gram)
  _, q = tf.linalg.eigh(gram)
  leading = tf.gather(q, np.arange(size)[:-num_vectors - 1:-1], axis=1)
  return tf.matmul(leading, basis, transpose_a=True, transpose_b=True)


def _combine(c, space, images):
  """Returns the combinations and their images, scaled to unit vectors."""
  space, images = tf.matmul(c, space), tf.matmul(c, images)
  norms = _row_norms(space)
  return _unit_rows(space, norms), _unit_rows(images, norms)


@functools.cache
def _for_all_sizes(function, num_arguments, num_rows, dtype):
  """Returns a function of blocks `[k, D]` as one graph for every `D`."""
  return tracing.noinline_function(
      function, input_signature=[
          tf.TensorSpec([num_rows, None], dtype)] * num_arguments)


def _shared(function: Callable, *blocks: tf.Tensor) -> list[tf.Tensor]:
  """Evaluates a function of blocks that kernels of all shapes share."""
  results = _for_all_sizes(
      function, len(blocks), *blocks[0].shape[:1], blocks[0].dtype)(*blocks)
  for result in results:
    if result.shape.rank and result.shape[-1] is None:
      result.set_shape(blocks[0].shape)
  return list(results)


def _rotated(v, image):
  """Returns the block rotated to its best rows, its image, `_Residuals[:2]`."""
  v, image = _combine(_leading_combinations(v, image, v.shape[0]), v, image)
  return v, image, *_residuals(v, image)[:2]


def _advanced(v, image, p, p_image, r, r_image):
  """Returns the next block, directions of change and residuals `r`.

  The first two with their images under `A`; and the first residual.
  """
  num_vectors = v.shape[0]
  others = tf.concat([r, p], axis=0)
  other_images = tf.concat([r_image, p_image], axis=0)
  space = tf.concat([v, others], axis=0)
  images = tf.concat([image, other_images], axis=0)
  c = _leading_combinations(space, images, num_vectors)
  # Unit vectors make |W v| a lower bound of the norm whatever was rounded.
  v, image = _combine(c, space, images)
  # The direction of change: what the block gained from residuals and past.
  p, p_image = _combine(c[:, num_vectors:], others, other_images)
  return v, image, p, p_image, *_residuals(v, image)[:2]


def power_iteration(
    operator: operators.LayerOperator, v: tf.Tensor, tolerance: float = 1e-3,
    max_steps: int = 200, min_steps: int | tf.Tensor = 0,
    is_current: bool | tf.Tensor = False,
    random_rows: tf.Tensor | None = None, searches: bool | tf.Tensor = True,
) -> operators.ConvergedNorm:
  """Advances a block of right singular vectors until the first has converged.

  If the block already meets the tolerance there is no step: the call takes two
  applications of the map and one of its transpose and returns the block,
  rotated; a block that `is_current` is not even rotated, and takes one of each.
  Up to 64 dimensions, or if the block has as many vectors as there are, nothing
  is iterated: the eigenvalues of the Gram matrix are computed directly.

  A small residual says that some singular value is near, not that it is the
  largest: vectors orthogonal to the block are invisible, and in a block of
  nearly equal singular values so are slightly larger ones. After a change of
  the map, disturb a row and take a few steps (`min_steps`), which explore a
  part of what lies outside, and give `random_rows`: once the block has
  converged, they are filtered by `chebyshev.filtered` for what is larger,
  added, and iterated with it.

  Not differentiable: use `spectral_norm`.

  Args:
    operator: the map `W`, which `matvec` applies (`[k, D] -> [k, E]`).
    v: `[k, D]` with `k` static, unit rows: random or from an earlier call.
    tolerance: bound of the residual.
    max_steps: largest number of steps.
    min_steps: smallest number of steps, even if the tolerance is met; may be a
      tensor.
    is_current: whether an earlier call returned the block for the same map; may
      be a tensor. A block that misses the tolerance, or whose first vector is
      not the best, is advanced nevertheless.

  Returns:
    Unit rows that approximate the leading right singular vectors; and the norm
    `sigma = |W v_0|`, a lower bound of the spectral norm. The residual is
    `|W^T W v_0 - sigma^2 v_0| / sigma^2`: some singular value lies within
    `sigma * residual` of `sigma`; when `v_0` tracks the leading one, `sigma` is
    off by about the square of the residual over the relative spectral gap.

  References:
    Knyazev, 2001, Toward the Optimal Preconditioned Eigensolver; Miyato et
    al., 2018, Spectral Normalization (power iteration, warm-started).
  """
  num_vectors = v.shape[0]

  def apply(v):  # A = W^T W: vectors stay on the smaller side of W.
    return operator.rmatvec(operator.matvec(v))

  v = tf.stop_gradient(v)
  image = apply(v)
  found = _Residuals(*_shared(_residuals, v, image))
  # The fingerprint of another map could be the same.
  is_leading = found.first_square >= (1.0 - tolerance) * tf.reduce_max(
      found.squares)

  def keep():
    return tf.constant(0), v, tf.sqrt(found.first_square), found.residual

  def advance():
    if operator.size <= max(num_vectors, _MAX_DIRECT_SIZE):
      return _direct(
          operator, apply(tf.eye(operator.size, dtype=v.dtype)), num_vectors)
    found = _iterate(operator, v, image, tolerance, max_steps, min_steps)
    if random_rows is None or searches is False:
      return found
    return search(*found) if searches is True else tf.cond(
        searches, lambda: search(*found), lambda: found)

  def search(num_steps, rows, sigma, residual):
    others = chebyshev.filtered(operator, random_rows, sigma)

    def add():
      block = tf.concat([rows, others], axis=0)
      num_added_steps, block, *norm = _iterate(
          operator, block, apply(block), tolerance, max_steps, _MIN_FOUND_STEPS)
      return num_steps + num_added_steps, block[:num_vectors], *norm

    return tf.cond(
        tf.reduce_max(_row_norms(operator.matvec(others))) > _NEAR * sigma,
        add, lambda: (num_steps, rows, sigma, residual))

  num_steps, v, sigma, residual = advance() if is_current is False else tf.cond(
      tf.convert_to_tensor(is_current) & is_leading & (
          found.residual <= tolerance), keep, advance)
  return operators.ConvergedNorm(v, sigma, num_steps, residual)


def _iterate(operator, v, image, tolerance, max_steps, min_steps):
  """Returns the number of steps, the block, the norm and the residual."""
  # Or a vector that has overtaken the first one would go unnoticed.
  *start, r, residual = _shared(_rotated, v, image)
  normal_map = operator.normal_map()  # `A` for many applications.

  def body(num_steps, v, image, p, p_image, r, _):
    return (num_steps + 1,
            *_shared(_advanced, v, image, p, p_image, r, normal_map(r)))

  num_steps, rows, *_, residual = tf.while_loop(
      lambda num_steps, *state: (num_steps < max_steps) & (
          (state[-1] > tolerance) | (num_steps < min_steps)), body, (
              tf.constant(0), *start, tf.zeros_like(v), tf.zeros_like(v), r,
              residual),
      parallel_iterations=1, name='power_iteration')
  return num_steps, rows, _norm(operator.matvec(rows[:1])), residual


def _direct(operator, gram, num_vectors):
  """Returns what `_iterate` does, for the matrix of `A` itself."""
  finite = tf.where(tf.math.is_finite(gram), gram, tf.zeros_like(gram))
  _, q = tf.linalg.eigh(finite)
  v = tf.transpose(tf.reverse(q, axis=[1])[:, :num_vectors])
  v = _unit_rows(v, _row_norms(v))
  residual = _residuals(v, tf.matmul(v, gram)).residual
  return tf.constant(0), v, _norm(operator.matvec(v[:1])), residual


def spectral_norm(operator: operators.LayerOperator, v: tf.Tensor) -> tf.Tensor:
  """Returns `|W v_0|`, differentiable in the kernel of `operator`.

  `v` are the rows that `power_iteration` returned. At a converged `v_0` this is
  the spectral norm and its derivative is `u_0^T dW v_0` with
  `u_0 = W v_0 / sigma`.
  """
  image = operator.matvec(tf.stop_gradient(v[:1]))
  left = tf.stop_gradient(_unit_rows(image, _row_norms(image)))
  return tf.reduce_sum(left * image)
