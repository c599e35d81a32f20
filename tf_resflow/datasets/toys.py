"""Two-dimensional toy distributions.

Each is a function from a key, int64 `[2]`, to a point, float32 `[2]`: equal
keys give equal points. Their scales are those of the released code of Residual
Flows, which took them from FFJORD (Grathwohl et al., 2019).
"""

import math

import tensorflow as tf


def _uniforms(key: tf.Tensor, num: int) -> list[tf.Tensor]:
  """Returns uniform draws from [0, 1), float32 scalars."""
  return tf.unstack(tf.random.stateless_uniform([num], key, alg='philox'))


def _noise(key: tf.Tensor, stddev: float) -> tf.Tensor:
  """Returns Gaussian noise `[2]`, independent of `_uniforms`."""
  # Another stream of the same key.
  return stddev * tf.random.stateless_normal(
      [2], key + tf.constant([1 << 40, 0], tf.int64), alg='philox')


def _choice(uniform: tf.Tensor, num: int) -> tf.Tensor:
  """Returns one of 0, ..., num - 1, each equally likely, as a float."""
  return tf.floor(uniform * num)


def _on_circle(angle: tf.Tensor) -> tf.Tensor:
  return tf.stack([tf.cos(angle), tf.sin(angle)])


def swissroll(key: tf.Tensor) -> tf.Tensor:
  """Draws from a spiral of radius 0.94 to 2.83, with noise of std 0.2."""
  angle = 1.5 * math.pi * (1.0 + 2.0 * _uniforms(key, 1)[0])
  return 0.2 * angle * _on_circle(angle) + _noise(key, 0.2)


def circles(key: tf.Tensor) -> tf.Tensor:
  """Draws from circles of radius 1.5 and 3, with noise of std 0.24."""
  which, turn = _uniforms(key, 2)
  radius = 1.5 * (1.0 + _choice(which, 2))
  return radius * _on_circle(2.0 * math.pi * turn) + _noise(key, 0.24)


def rings(key: tf.Tensor) -> tf.Tensor:
  """Draws from four circles of radius 0.75 to 3, with noise of std 0.08."""
  which, turn = _uniforms(key, 2)
  radius = 0.75 * (1.0 + _choice(which, 4))
  return radius * _on_circle(2.0 * math.pi * turn) + _noise(key, 0.08)


def moons(key: tf.Tensor) -> tf.Tensor:
  """Draws from two interleaving half circles, with noise of std 0.2."""
  which, turn = _uniforms(key, 2)
  upper = _on_circle(math.pi * turn)
  lower = tf.constant([1.0, 0.5]) - upper
  point = tf.where(which < 0.5, upper, lower)
  return 2.0 * point + tf.constant([-1.0, -0.2]) + _noise(key, 0.2)


def eight_gaussians(key: tf.Tensor) -> tf.Tensor:
  """Draws from eight Gaussians of std 0.354 on a circle of radius 2.83."""
  angle = 0.25 * math.pi * _choice(_uniforms(key, 1)[0], 8)
  # 1.414, not sqrt(2), as in the released code.
  return (4.0 * _on_circle(angle) + _noise(key, 0.5)) / 1.414


def pinwheel(key: tf.Tensor) -> tf.Tensor:
  """Draws from a pinwheel of five curved arms."""
  arm = _choice(_uniforms(key, 1)[0], 5)
  radial, tangential = tf.unstack(_noise(key, 1.0))
  x, y = 1.0 + 0.3 * radial, 0.1 * tangential
  angle = 2.0 * math.pi * arm / 5.0 + 0.25 * tf.exp(x)
  cos, sin = tf.cos(angle), tf.sin(angle)
  return 2.0 * tf.stack([x * cos + y * sin, y * cos - x * sin])


def two_spirals(key: tf.Tensor) -> tf.Tensor:
  """Draws from two spiral arms of one and a half turns."""
  which, length, across, along = _uniforms(key, 4)
  angle = 3.0 * math.pi * tf.sqrt(length)
  point = tf.stack([
      -tf.cos(angle) * angle + 0.5 * across, tf.sin(angle) * angle + 0.5 * along
  ]) / 3.0
  return tf.where(which < 0.5, point, -point) + _noise(key, 0.1)


def checkerboard(key: tf.Tensor) -> tf.Tensor:
  """Draws uniformly from alternating squares of side 2 on [-4, 4]^2."""
  across, along, which = _uniforms(key, 3)
  x = 4.0 * across - 2.0
  y = along - 2.0 * _choice(which, 2) + tf.math.floormod(tf.floor(x), 2.0)
  return 2.0 * tf.stack([x, y])

