"""Per-sample secant histories, the memory of Anderson acceleration.

A secant is a pair (p, q): a step p in x and its effect q on the residual
vector f(x). Histories have shape [B, m, D]; every sample keeps its q
orthonormal (or zero where it has no secant), so least squares over the history
is a projection.
"""

import tensorflow as tf

# Part of a new secant that must be left after projection; below it the
# remainder is mostly rounding error and the secant is dropped.
_MIN_REMAINDER = {tf.float32: 1e-4, tf.float64: 1e-10}


def push(
    p: tf.Tensor,
    q: tf.Tensor,
    dx: tf.Tensor,
    df: tf.Tensor,
    is_secant: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
  """Appends the secant (dx, df) to the history and drops the oldest.

  df is projected on the complement of the q that are kept; dx gets the same
  combination, so that the pair stays a secant.

  Args:
    p: steps, [B, m, D].
    q: their effects, [B, m, D], orthonormal or zero.
    dx: new step, [B, D].
    df: its effect, [B, D].
    is_secant: bool [B]; where False a zero pair is stored instead.

  Returns:
    The new `(p, q)`.
  """
  # Scaled first, so that squares neither overflow nor underflow.
  scale = _reciprocal(norm(df))
  new_p, new_q = dx * scale, df * scale
  for _ in range(2):  # The second pass removes what rounding left behind.
    c = tf.linalg.matvec(q, new_q)
    new_q -= tf.linalg.matvec(q, c, transpose_a=True)
    new_p -= tf.linalg.matvec(p, c, transpose_a=True)
  remainder = norm(new_q)
  scale = _reciprocal(remainder)
  is_secant &= remainder > tf.constant(_MIN_REMAINDER[q.dtype], q.dtype)
  new_p = select(is_secant, new_p * scale, 0.0)
  new_q = select(is_secant, new_q * scale, 0.0)
  return (
      tf.concat([p[:, 1:], new_p[:, tf.newaxis]], axis=1),
      tf.concat([q[:, 1:], new_q[:, tf.newaxis]], axis=1),
  )


def correction(
    p: tf.Tensor, q: tf.Tensor, f: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
  """What the secants say must be added to the plain step x + f.

    c = argmin |f - Q c|_2 = Q^T f
    (x - P c) + (f - Q c) = (x + f) - (P + Q) c

  Args:
    p: steps, [B, m, D].
    q: their effects, [B, m, D], orthonormal or zero.
    f: residual vector, [B, D].

  Returns:
    The correction -(P + Q) c, [B, D], and bool [B]: whether it is in use.
  """
  c = tf.linalg.matvec(q, f)
  step = -tf.linalg.matvec(p + q, c, transpose_a=True)
  return step, tf.reduce_any(c != 0.0, axis=-1)


def select(mask: tf.Tensor, a: tf.Tensor, b: tf.Tensor | float) -> tf.Tensor:
  """`a` for the samples in `mask`, else `b`; mask is [B], a is [B, ...]."""
  mask = mask[(slice(None),) + (tf.newaxis,) * (a.shape.rank - 1)]
  return tf.where(mask, a, tf.cast(b, a.dtype))


def max_abs(x: tf.Tensor) -> tf.Tensor:
  """max|x| over the last axis; NaN if any element is."""
  x = tf.abs(x)
  # Devices differ in whether a maximum propagates NaN.
  is_nan = tf.reduce_any(tf.math.is_nan(x), axis=-1)
  largest = tf.reduce_max(x, axis=-1)
  return tf.where(is_nan, tf.constant(float('nan'), x.dtype), largest)


def norm(x: tf.Tensor) -> tf.Tensor:
  """l2 norm over the last axis, scaled against overflow and underflow."""
  scale = max_abs(x)
  safe = tf.where(scale > 0.0, scale, tf.ones_like(scale))
  return scale * tf.norm(x / safe[:, tf.newaxis], axis=-1)


def _reciprocal(x):
  return tf.math.divide_no_nan(tf.ones_like(x), x)[:, tf.newaxis]
