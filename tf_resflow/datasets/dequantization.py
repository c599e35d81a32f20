"""Dequantisation of integer pixels to [0, 1) with noise, and its inverse."""

import numpy as np
import tensorflow as tf

from tf_resflow import errors


def _cell_bounds(num_levels: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns the smallest and largest float32 that `quantize` maps to a level.

  Rounding makes these differ from X/n and (X + 1)/n: in float32
  255 + 0.99999 is 256, and (X/n) * n can fall just below X when n is no power
  of two. Both are float32 `[n]`.
  """
  n = np.float32(num_levels)
  level = np.arange(num_levels, dtype=np.float32)
  low, high = level / n, (level + 1) / n
  while (short := low * n < level).any():
    low = np.where(short, np.nextafter(low, np.float32(1)), low)
  while (long := high * n >= level + 1).any():
    high = np.where(long, np.nextafter(high, np.float32(0)), high)
  return low, high


def dequantize(
    image_uint8: tf.Tensor, noise: tf.Tensor, num_levels: int) -> tf.Tensor:
  """Dequantises integers by uniform noise.

      x = (X + U) / n

  rounded to the inside of the cell `[X / n, (X + 1) / n)` if necessary, so that
  always `0 <= x < 1` and `quantize(x, n) == X`, even for `U = 1`.

  Args:
    image_uint8: integers X in 0..n-1, any shape.
    noise: U in [0, 1], float32, same shape.
    num_levels: number of levels n, 1..256; others are an `InvalidValueError`.

  Example:
    >>> x = dequantize(tf.constant([255], tf.uint8), tf.constant([1.0]), 256)
    >>> bool(x < 1)
    True

  References:
    Theis, van den Oord and Bethge, 2016, Section 3.1 (with uniform noise, the
    density of x bounds the probability of X).
  """
  _check_num_levels(num_levels)
  low, high = _cell_bounds(num_levels)
  level = tf.cast(image_uint8, tf.int32)
  x = (tf.cast(image_uint8, tf.float32) + noise) / np.float32(num_levels)
  return tf.clip_by_value(x, tf.gather(low, level), tf.gather(high, level))


def quantize(x: tf.Tensor, num_levels: int) -> tf.Tensor:
  """Quantises numbers to integer levels.

      X = min(max(floor(n x), 0), n - 1)

  The inverse of `dequantize` for any noise. Values outside [0, 1), such as
  samples of a model, are clipped. `x` is float32, and `X` uint8.

  Example:
    >>> quantize(tf.constant([-0.1, 0.5, 1.0]), 4).numpy().tolist()
    [0, 2, 3]
  """
  _check_num_levels(num_levels)
  level = tf.floor(x * np.float32(num_levels))
  return tf.cast(tf.clip_by_value(level, 0.0, num_levels - 1.0), tf.uint8)


def _check_num_levels(num_levels: int) -> None:
  errors.check(
      1 <= num_levels <= 256, 'num_levels', num_levels,
      'an integer in [1, 256], since images have 8 bits')
