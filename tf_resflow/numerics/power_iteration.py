"""The spectral norm of a linear map by warm-started block power iteration."""

from typing import NamedTuple

import tensorflow as tf


class PowerIteration(NamedTuple):
  """Result of `power_iteration`.

  Attributes:
    v: `[k, D]`, orthonormal rows that approximate the leading right singular
      vectors, best first; the warm start of the next call.
    sigma: scalar, the norm `|W v_0|`, a lower bound of the spectral norm.
    residual: scalar, `|W^T W v_0 - sigma^2 v_0| / sigma^2`. Some singular
      value lies within `sigma * residual` of `sigma`; if `v_0` tracks the
      leading one, `sigma` is off by the square of it over the spectral gap.
    num_steps: int32 scalar, how often the block was advanced.
    converged: bool scalar, whether the residual met the tolerance.
  """

  v: tf.Tensor
  sigma: tf.Tensor
  residual: tf.Tensor
  num_steps: tf.Tensor
  converged: tf.Tensor


def _normalize_rows(x, fallback=None):
  tiny = x.dtype.as_numpy_dtype(1e-30)
  norm = tf.norm(x, axis=1, keepdims=True)
  unit = x / tf.maximum(norm, tiny)
  return unit if fallback is None else tf.where(norm > tiny, unit, fallback)


def _orthonormalize(rows, fallback):
  """Cholesky orthonormalisation; a row that vanished becomes its fallback."""
  rows = _normalize_rows(rows, fallback)
  if rows.shape[0] == 1:
    return rows
  gram = tf.linalg.matmul(rows, rows, transpose_b=True)
  # The diagonal is one; the shift keeps nearly parallel rows factorisable.
  gram += 1e-5 * tf.eye(rows.shape[0], dtype=rows.dtype)
  return tf.linalg.triangular_solve(tf.linalg.cholesky(gram), rows)


def _rotate_to_singular(v, u):
  """Rayleigh-Ritz: rotates the block so that its images are orthogonal."""
  if v.shape[0] == 1:
    return v, u
  _, q = tf.linalg.eigh(tf.linalg.matmul(u, u, transpose_b=True))
  q = tf.reverse(q, axis=[1])  # Largest first.
  v = tf.linalg.matmul(q, v, transpose_a=True)
  u = tf.linalg.matmul(q, u, transpose_a=True)
  # Unit vectors make |W v| a lower bound of the norm whatever was rounded.
  norm = tf.norm(v, axis=1, keepdims=True)
  return v / norm, u / norm


def power_iteration(operator, v, tolerance=1e-3, max_steps=1000):
  """Advances a block of right singular vectors until the first has converged.

  One step applies the map and its transpose to the whole block. When the
  start already meets the tolerance nothing is advanced: the call costs that
  one application and returns the block, rotated. A block of two or more
  vectors keeps following the norm when another singular vector overtakes the
  leading one; a single vector can stay behind on the one that used to lead,
  with a residual of zero.

  Nothing here is differentiated: use `spectral_norm`.

  Args:
    operator: has `matvec` (`[k, D] -> [k, E]`) and `rmatvec`, its transpose.
    v: `[k, D]` with `k` static, orthonormal rows: random or from an earlier
      call.
    tolerance: bound of the relative residual, see `PowerIteration.residual`.
    max_steps: bound of the number of steps.

  Returns:
    A `PowerIteration`.
  """
  tiny = v.dtype.as_numpy_dtype(1e-30)

  def apply(v):
    v, u = _rotate_to_singular(v, operator.matvec(v))
    z = operator.rmatvec(u)
    sigma_squared = tf.reduce_sum(u[0] * u[0])
    residual = tf.norm(z[0] - sigma_squared * v[0]) / tf.maximum(
        sigma_squared, tiny)
    return v, z, tf.sqrt(sigma_squared), residual

  def cond(num_steps, v, z, sigma, residual):
    del v, z, sigma
    return (residual > tolerance) & (num_steps < max_steps)

  def body(num_steps, v, z, sigma, residual):
    del sigma, residual
    return num_steps + 1, *apply(_orthonormalize(z, v))

  v = tf.stop_gradient(v)
  num_steps, v, _, sigma, residual = tf.while_loop(
      cond, body, (tf.constant(0), *apply(v)), parallel_iterations=1)
  return PowerIteration(
      v, sigma, residual, num_steps, residual <= tolerance)


def spectral_norm(operator, v):
  """Returns `|W v_0|`, differentiable in the kernel of `operator`.

  At a converged `v_0` this is the spectral norm and its derivative is
  `u_0^T dW v_0` with `u_0 = W v_0 / sigma`.

  Args:
    operator: as in `power_iteration`.
    v: `[k, D]`, as returned by it.

  Returns:
    A scalar.
  """
  image = operator.matvec(tf.stop_gradient(v[:1]))
  left = tf.stop_gradient(image / tf.maximum(tf.norm(image), 1e-30))
  return tf.reduce_sum(left * image)
