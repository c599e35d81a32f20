"""Per-sample secant histories, the memory of Anderson acceleration.

The fixed-point map is `h(x) = x + f(x)`. A secant is a pair `(s, q)`: a change
`s` of `h(x)`, and the simultaneous change `q` of the residual vector `f(x)`.
The `q` of a sample are kept orthonormal, so least squares over the history
is a projection. Batched products of small matrices are slow on CPUs: everything
here is elementwise, with the history as the first axis.
"""

from typing import NamedTuple

import tensorflow as tf

# Part of a new secant that must be left after projection; below it the
# remainder is mostly rounding error and the secant is dropped.
_MIN_REMAINDER = {tf.float32: 1e-4, tf.float64: 1e-10}
# A remainder of this part is orthogonal to rounding after one projection.
_SAFE_REMAINDER = 0.5


class History(NamedTuple):
  """The last `m` secants of every sample.

  Attributes:
    s: changes of `h(x)`, `[m, B, D]`.
    q: changes of `f(x)`, `[m, B, D]`, orthonormal where in use.
    in_use: `[m, B]`, 1 or 0; the pairs with 0 mean nothing.
  """

  s: tf.Tensor
  q: tf.Tensor
  in_use: tf.Tensor


def empty(size: int, x: tf.Tensor) -> History:
  """Returns an empty history of capacity `size`, for `x`, `[B, D]`."""
  zeros = tf.tile(tf.zeros_like(x)[tf.newaxis], [size, 1, 1])
  return History(zeros, zeros, zeros[:, :, 0])


def push(history: History, ds: tf.Tensor, dq: tf.Tensor,
         is_secant: tf.Tensor) -> History:
  """Appends the secant `(ds, dq)` and drops the oldest.

  `dq` is projected on the complement of all `q` so far; `ds` gets the same
  combination, so that the pair stays a secant.

  Args:
    history: the history so far.
    ds: new change of `h(x)`, `[B, D]`.
    dq: the simultaneous change of `f(x)`, `[B, D]`.
    is_secant: bool `[B]`; where False nothing is appended.
  """

  def project(s, q):
    c = _coefficients(history, q)
    return s - _combine(c, history.s), q - _combine(c, history.q)

  # Scaled first, so that squares neither overflow nor underflow.
  scale = _reciprocal(norm(dq))
  s, q = project(ds * scale, dq * scale)
  # A second pass removes what rounding left behind.
  s, q = tf.cond(
      tf.reduce_all((tf.norm(q, axis=-1) > _SAFE_REMAINDER) | ~is_secant),
      lambda: (s, q), lambda: project(s, q))
  remainder = tf.norm(q, axis=-1)
  is_secant &= remainder > tf.constant(_MIN_REMAINDER[q.dtype], q.dtype)
  scale = _reciprocal(remainder)
  secant = (select(is_secant, s * scale, 0.0),
            select(is_secant, q * scale, 0.0), tf.cast(is_secant, q.dtype))
  return History(*(
      tf.concat([old[1:], new[tf.newaxis]], axis=0)
      for old, new in zip(history, secant, strict=True)))


def clear(history: History, mask: tf.Tensor) -> History:
  """Removes the secants of the samples in `mask`, bool `[B]`."""
  return history._replace(
      in_use=tf.where(mask, tf.zeros_like(history.in_use), history.in_use))


def correction(history: History, f: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the Anderson correction of the plain step `h(x) = x + f`.

    -S c   with   c = argmin |f - Q c|_2 = Q^T f.

  It is `[B, D]`, like the residual vector `f`. The second result, bool `[B]`,
  says whether it uses any secant.
  """
  c = _coefficients(history, f)
  return -_combine(c, history.s), tf.reduce_any(c != 0.0, axis=0)


def _coefficients(history, f):
  """Returns `Q^T f` where in use, `[m, B]`."""
  return history.in_use * tf.reduce_sum(history.q * f, axis=-1)


def _combine(c, vectors):
  """Returns `sum_j c_j v_j`, `[B, D]`, for c `[m, B]` and v `[m, B, D]`."""
  return tf.reduce_sum(c[:, :, tf.newaxis] * vectors, axis=0)


def select(mask: tf.Tensor, a: tf.Tensor, b: tf.Tensor | float) -> tf.Tensor:
  """Returns `a`, `[B, ...]`, for the samples in `mask`, `[B]`, else `b`."""
  return tf.where(mask[(slice(None),) + (tf.newaxis,) * (a.shape.rank - 1)], a,
                  tf.cast(b, a.dtype))


def max_abs(x: tf.Tensor) -> tf.Tensor:
  """Returns `max|x|` over the last axis; NaN if any element is."""
  x = tf.abs(x)
  # Devices differ in whether a maximum propagates NaN.
  return tf.where(tf.reduce_any(tf.math.is_nan(x), axis=-1),
                  tf.constant(float('nan'), x.dtype), tf.reduce_max(x, axis=-1))


def norm(x: tf.Tensor, scale: tf.Tensor | None = None) -> tf.Tensor:
  """Returns the l2 norm over the last axis, safe from over- and underflow.

  `scale` is `max_abs(x)`, if it is known already.
  """
  scale = max_abs(x) if scale is None else scale
  safe = tf.where(scale > 0.0, scale, tf.ones_like(scale))
  return scale * tf.norm(x / safe[:, tf.newaxis], axis=-1)


def _reciprocal(x):
  return tf.math.divide_no_nan(tf.ones_like(x), x)[:, tf.newaxis]
