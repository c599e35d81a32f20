"""Paths between latents: ends, norms and directions."""

import numpy as np
import pytest

from tf_resflow import evaluation

_PATHS = {'spherical': evaluation.spherical_path,
          'linear': evaluation.linear_path}


def _ends(seed=0, size=200):
  rng = np.random.default_rng(seed)
  return rng.normal(size=[3, size]), 1.5 * rng.normal(size=[3, size])


@pytest.mark.parametrize('path', _PATHS.values(), ids=_PATHS)
def test_ends_are_exact(path):
  start, end = _ends()
  points = path(start, end, 7)
  assert points.shape == (3, 7, 200)
  np.testing.assert_array_equal(points[:, 0], start)
  np.testing.assert_array_equal(points[:, -1], end)
  # The other way round it is the same path.
  np.testing.assert_allclose(
      path(end, start, 7), points[:, ::-1], rtol=1e-10, atol=1e-12)


def test_quarter_of_a_circle():
  points = evaluation.spherical_path([[2.0, 0.0]], [[0.0, 2.0]], 4)[0]
  angles = np.pi / 2 * np.arange(4) / 3
  np.testing.assert_allclose(
      points, 2.0 * np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-14)


def test_norms_and_angles_go_in_equal_steps():
  start, end = _ends()
  points = evaluation.spherical_path(start, end, 6)
  norms = np.linalg.norm(points, axis=-1)
  np.testing.assert_allclose(
      norms, np.linspace(norms[:, 0], norms[:, -1], 6, axis=1), rtol=1e-12)
  units = points / norms[..., np.newaxis]
  cosines = np.sum(units[:, 1:] * units[:, :-1], axis=-1)
  np.testing.assert_allclose(cosines, cosines[:, :1] * np.ones(5), rtol=1e-10)
  # A straight line leaves the sphere: 1/sqrt(2) in the middle.
  linear = np.linalg.norm(evaluation.linear_path(start, start[::-1], 3), axis=2)
  assert np.all(linear[::2, 1] < 0.85 * linear[::2, 0])


@pytest.mark.parametrize('distance', [0.0, 1e-12, 1e-7, 1e-3])
def test_ends_close_to_each_other(distance):
  start = np.array([[1.0, 0.0, 0.0]])
  end = start + [[0.0, distance, 0.0]]
  points = evaluation.spherical_path(start, end, 5)
  np.testing.assert_allclose(
      points, evaluation.linear_path(start, end, 5), atol=distance**2 + 1e-15)


def test_same_direction_with_other_norms():
  points = evaluation.spherical_path([[1.0, 1.0]], [[3.0, 3.0]], 3)
  np.testing.assert_allclose(points[0], [[1, 1], [2, 2], [3, 3]], rtol=1e-15)


def test_what_is_refused():
  with pytest.raises(ValueError, match='opposite to each other'):
    evaluation.spherical_path([[1.0, 1.0]], [[-2.0, -2.0]], 3)
  with pytest.raises(ValueError, match='latent=zero'):
    evaluation.spherical_path([[1.0, 1.0]], [[0.0, 0.0]], 3)
  for path in _PATHS.values():
    with pytest.raises(ValueError, match='num_points=1: expected a number fr'):
      path([[1.0]], [[2.0]], 1)
    with pytest.raises(ValueError, match=r'expected \[P, D\] both'):
      path([[1.0]], [[2.0, 3.0]], 2)
