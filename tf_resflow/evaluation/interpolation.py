"""Paths between latents."""

import numpy as np
from numpy import typing as npt

from tf_resflow import errors


def spherical_path(
    start: npt.ArrayLike, end: npt.ArrayLike, num_points: int) -> np.ndarray:
  """Returns points on arcs between latents, with norms in between.

  With `a` the angle between the two directions and `t` from 0 to 1,

    z_t = |z_t| (sin((1-t) a) start/|start| + sin(t a) end/|end|) / sin(a),
    |z_t| = (1-t) |start| + t |end|.

  Draws from a normal distribution in many dimensions lie close to a sphere. A
  straight line leaves it: half way between two independent latents the norm is
  smaller by sqrt(2), a norm that samples never have, while that of the points
  here lies between those of the two ends. For latents of equal norm at right
  angles the path is `cos(t pi/2) start + sin(t pi/2) end`, along which
  independent standard normals stay standard normal.

  Args:
    start: `[P, D]`, latents where the paths begin.
    end: `[P, D]`, latents where they end.
    num_points: number of points, both ends included, at least 2.

  Returns:
    Float64 array `[P, num_points, D]`; its first and last points are exactly
    the given ones.

  Raises:
    InvalidValueError: if shapes do not fit, or a pair has no shortest arc: a
      zero vector, or two opposite directions.

  Example:
    >>> path = spherical_path([[2.0, 0.0]], [[0.0, 2.0]], 3)
    >>> np.allclose(path[0, 1], [np.sqrt(2.0), np.sqrt(2.0)])
    True

  References:
    Shoemake, 1985, Animating Rotation with Quaternion Curves (slerp); White,
    2016, Sampling Generative Networks.
  """
  start, end, t = _check(start, end, num_points)
  norms = [np.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
  errors.check(all(np.all(n > 0.0) for n in norms), 'latent', 'zero',
               'one with a direction')
  a, b = start / norms[0], end / norms[1]
  # Half the chord and half the sum: exact for small and for large angles.
  angle = 2.0 * np.arctan2(
      np.linalg.norm(a - b, axis=-1, keepdims=True),
      np.linalg.norm(a + b, axis=-1, keepdims=True))
  errors.check(
      np.all(np.pi - angle >= 1e-6), 'latents', 'opposite to each other',
      'two with one shortest arc between them', 'Choose another pair.')
  # sin(s a) / sin(a), which is s in the limit of no angle.
  sine = np.where(angle < 1e-6, 1.0, np.sin(angle))

  def weight(s):
    return np.where(angle < 1e-6, s, np.sin(s * angle) / sine)

  norm = (1.0 - t) * norms[0] + t * norms[1]
  return _with_exact_ends(
      norm * (weight(1.0 - t) * a + weight(t) * b), start, end)


def linear_path(
    start: npt.ArrayLike, end: npt.ArrayLike, num_points: int) -> np.ndarray:
  """Returns points `(1-t) start + t end` on straight lines between latents.

  Args:
    start: `[P, D]`.
    end: `[P, D]`.
    num_points: number of points, both ends included, at least 2.

  Returns:
    Float64 array `[P, num_points, D]`, see `spherical_path`.

  Raises:
    InvalidValueError: if shapes do not fit.
  """
  start, end, t = _check(start, end, num_points)
  return _with_exact_ends((1.0 - t) * start + t * end, start, end)


def _check(start, end, num_points):
  """Returns both ends as `[P, 1, D]` in float64, and `t` as `[T, 1]`."""
  start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
  errors.check(
      start.ndim == 2 and start.shape == end.shape, 'start, end',
      f'arrays {start.shape}, {end.shape}', '[P, D] both')
  errors.check(num_points > 1, 'num_points', num_points, 'a number from 2',
               'Both ends count.')
  t = np.linspace(0.0, 1.0, num_points)[:, np.newaxis]
  return start[:, np.newaxis], end[:, np.newaxis], t


def _with_exact_ends(path, start, end):
  path[:, :1], path[:, -1:] = start, end
  return path
