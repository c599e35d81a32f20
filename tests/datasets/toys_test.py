"""Two-dimensional toy distributions: scales, supports, streams."""

import functools
import itertools

import numpy as np
import pytest

from tf_resflow import datasets

# Standard deviations of x and y in the released code of Residual Flows.
_DEVIATIONS = {
  'swissroll': (1.34, 1.40), 'circles': (1.70, 1.70), 'rings': (1.46, 1.46),
  'moons': (1.75, 1.01), '8gaussians': (2.03, 2.03), 'pinwheel': (1.48, 1.48),
  '2spirals': (1.62, 1.59), 'checkerboard': (2.31, 2.31)}

# Of the others zero.
_MEANS = {'swissroll': (0.4, 0.4 / (3 * np.pi)), 'moons': (0.0, 0.3)}


@functools.cache
def _points(name):
  return datasets.open_split(name, 'test').arrays['x'].numpy()


def _batches(name, num_batches, **arguments):
  batches = datasets.training_batches(
    datasets.open_split(name, 'train'),
    **{'batch_size': 64, 'seed': 0, **arguments})
  return np.stack([
    batch['x'].numpy() for batch in itertools.islice(batches, num_batches)])


@pytest.mark.slow
def test_means_and_scales():
  for name, deviations in _DEVIATIONS.items():
    points = _points(f'2d/{name}')
    error = points.mean(axis=0) - _MEANS.get(name, 0.0)
    # 5.5 standard errors.
    assert np.all(np.abs(error) < 5.5 * np.array(deviations) / 141), name
    np.testing.assert_allclose(
      points.std(axis=0), deviations, atol=0.025, err_msg=name)
  assert {f'2d/{name}' for name in _DEVIATIONS} == {
    name for name in datasets.names() if name.startswith('2d/')}


def test_checkerboard_is_uniform_on_its_squares():
  points = _points('2d/checkerboard')
  cells = np.floor(points / 2).astype(int)
  assert set(cells.ravel()) == {-2, -1, 0, 1}
  assert np.all(cells.sum(axis=1) % 2 == cells[0].sum() % 2)
  # Eight squares, each with binomial(20000, 1/8) points, std 47.
  _, counts = np.unique(cells, axis=0, return_counts=True)
  np.testing.assert_allclose(counts, [2500] * 8, atol=5 * 47)
  inside = points / 2 - cells
  np.testing.assert_allclose(inside.mean(axis=0), 0.5, atol=5 * 0.29 / 141)
  np.testing.assert_allclose(inside.var(axis=0), 1 / 12, atol=0.003)


def test_eight_gaussians_are_normal_around_their_centres():
  points = 1.414 * _points('2d/8gaussians')
  angles = np.arange(8) * np.pi / 4
  centres = 4 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
  distance = np.linalg.norm(points[:, np.newaxis] - centres, axis=2)
  nearest = distance.argmin(axis=1)
  np.testing.assert_allclose(np.bincount(nearest), [2500] * 8, atol=5 * 47)
  noise = points - centres[nearest]
  np.testing.assert_allclose(np.cov(noise.T), 0.25 * np.eye(2), atol=0.012)


@pytest.mark.parametrize('name, radii, noise', [
  ('2d/circles', [1.5, 3.0], 0.24),
  ('2d/rings', [0.75, 1.5, 2.25, 3.0], 0.08)])
def test_circles(name, radii, noise):
  radius = np.linalg.norm(_points(name), axis=1)
  gaps = radius[:, np.newaxis] - np.array(radii)
  nearest = np.abs(gaps).argmin(axis=1)
  share = np.bincount(nearest) / len(radius)
  np.testing.assert_allclose(share, 1 / len(radii), atol=0.02)
  deviation = gaps[np.arange(len(gaps)), nearest].std()
  assert 0.85 * noise < deviation < 1.05 * noise


def test_spirals_are_as_long_as_stated():
  # The largest radius is 3 pi / 3, but for noise and a shift of at most 1/6.
  largest = np.linalg.norm(_points('2d/2spirals'), axis=1).max()
  assert np.pi - 0.3 < largest < np.pi + 0.7


def test_arms_of_the_pinwheel_bend():
  x, y = _points('2d/pinwheel').T / 2
  turn = np.arctan2(y, x) + 0.25 * np.exp(np.hypot(x, y))
  # Five arms; unbent, or bent to the other side, they average 0.2 at most.
  assert np.cos(5 * turn).mean() > 0.8


def test_training_points_are_fresh_and_a_function_of_seed_and_number():
  whole = _batches('2d/rings', 6)
  flat = whole.reshape([-1, 2])
  assert len(np.unique(flat, axis=0)) == len(flat)
  np.testing.assert_array_equal(
    whole[4:], _batches('2d/rings', 2, start_step=4))
  np.testing.assert_array_equal(
    flat, _batches('2d/rings', 3, batch_size=128).reshape([-1, 2]))
  assert np.all(whole != _batches('2d/rings', 6, seed=1))
  assert not len(np.intersect1d(flat[:, 0], _points('2d/rings')[:, 0]))
  # Far steps cost nothing.
  far = _batches('2d/pinwheel', 1, start_step=10**12)
  assert far.shape == (1, 64, 2) and np.all(np.isfinite(far))
