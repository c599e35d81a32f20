"""Orders `p` of the norms `|x|_p`, and the vectors that attain them.

An order is a number in [1, inf] or, where it is learned, a scalar tensor.
"""

import math
from typing import TypeAlias

import tensorflow as tf

Order: TypeAlias = float | tf.Tensor
# The smallest learned order, whose dual order is 1001.
_LEAST_LEARNED = 1.001


def squashed(raw: tf.Tensor) -> tf.Tensor:
  """Maps any scalar to an order in (1, 5), increasingly, and 0 to 2.

    3 + 2 tanh(-leaky_elu(atanh(1/2) - raw)),
    leaky_elu(a) = 0.3 a + 0.7 elu(a)

  It is at least 1.001, the value for `raw` below -3.6.

  References:
    The released code of Chen et al., 2019, Residual Flows.
  """
  a = math.atanh(0.5) - raw
  order = 3.0 + 2.0 * tf.tanh(-(0.3 * a + 0.7 * tf.nn.elu(a)))
  return tf.maximum(order, _LEAST_LEARNED)


def dual(order: Order) -> Order:
  """Returns the order `p* = p / (p - 1)` of the dual norm.

  `|<x, y>| <= |x|_p |y|_p*` (Hoelder), and for every x some y attains it. 1 and
  inf are each other's dual.
  """
  if isinstance(order, (int, float)) and order in (1.0, math.inf):
    return math.inf if order == 1.0 else 1.0
  return order / (order - 1.0)


def as_tensor(order: Order, dtype: tf.DType) -> tf.Tensor:
  """Returns an order, or the reciprocal of one, as a scalar."""
  # tf.cast would take a number for a float32.
  return tf.cast(order, dtype) if tf.is_tensor(order) else tf.constant(
      order, dtype)


def vector_norms(x: tf.Tensor, order: Order, axis: int | tuple[int, ...] = -1,
                 keepdims: bool = False) -> tf.Tensor:
  """Returns `|x|_p = (sum_i |x_i|^p)^(1/p)`; for inf the largest `|x_i|`.

  Over one axis or several. Safe from overflow and underflow. Differentiable in
  `x` and in an order that is a tensor; the gradient at x = 0 is 0.
  """
  magnitudes = tf.abs(x)
  largest = tf.reduce_max(magnitudes, axis, keepdims=True)
  if isinstance(order, (int, float)) and order == math.inf:
    return largest if keepdims else tf.squeeze(largest, axis)
  scale = tf.stop_gradient(tf.where(
      largest > 0.0, largest, tf.ones_like(largest)))
  order = as_tensor(order, x.dtype)
  sums = tf.reduce_sum(tf.pow(magnitudes / scale, order), axis, keepdims=True)
  # Roots have no derivative at 0.
  is_zero = sums <= 0.0
  roots = tf.pow(tf.where(is_zero, tf.ones_like(sums), sums), 1.0 / order)
  norms = tf.where(is_zero, tf.zeros_like(sums), scale * roots)
  return norms if keepdims else tf.squeeze(norms, axis)


def dual_vectors(x: tf.Tensor, order: Order) -> tf.Tensor:
  """Returns `u` with `<u, x> = |x|_p` and `|u|_p* = 1`, `[..., n]` like `x`.

    u_i = sign(x_i) (|x_i| / |x|_p)^(p - 1)

  For p = inf it is the sign of the largest entry, at its index, and 0
  elsewhere. For x = 0 it is 0.
  """
  if isinstance(order, (int, float)) and order == math.inf:
    place = tf.one_hot(
        tf.argmax(tf.abs(x), axis=-1), x.shape[-1], dtype=x.dtype)
    return place * tf.sign(x)
  norms = vector_norms(x, order, keepdims=True)
  norms = tf.where(norms > 0.0, norms, tf.ones_like(norms))
  return tf.sign(x) * tf.pow(tf.abs(x) / norms, as_tensor(order, x.dtype) - 1.0)
