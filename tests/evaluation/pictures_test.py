"""Pictures hold what they say: samples, reconstructions, paths."""

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import splits
from tests import testing
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.evaluation import pictures


@pytest.fixture(scope='module')
def split():
  return splits.random_split(9, 17)


@pytest.fixture(scope='module')
def flow():
  return flows.make_image_flow(17, num_dense_blocks=0)


def _shown(levels):
  """Seventeen levels as bytes."""
  return np.floor(255.0 * levels / 16 + 0.5).astype(np.uint8)


def test_samples_of_several_temperatures(flow):
  picture = pictures.samples(
      flow, 3, seed=4, temperatures=(0.0, 0.5, 1.0), batch_size=9)
  x = picture.arrays['x']
  np.testing.assert_allclose(flow(x), picture.arrays['z'], atol=1e-4)
  # Without entropy all are alike.
  assert np.ptp(x[:3], axis=0).max() < 1e-5 < np.ptp(x[6:], axis=0).max()
  np.testing.assert_array_equal(
      picture.images, _shown(np.clip(np.floor(17 * x), 0, 16)))
  assert picture.num_columns == 3
  assert picture.report['share_of_pixels_outside'] == np.mean(
      (x < 0) | (x >= 1))


def test_images_that_change_are_counted(split, monkeypatch):
  flow = flows.make_flow_without_blocks(num_levels=17)
  solve = models.Flow.solve_inverse

  def wrong(self, z, **options):
    inverted = solve(self, z, **options)
    return inverted._replace(
        value=inverted.value + tf.constant(
            [0.0, 0.1, 0.0])[:, None, None, None])

  monkeypatch.setattr(models.Flow, 'solve_inverse', wrong)
  picture = pictures.reconstructions(flow, split, [0, 1, 2])
  assert picture.report['num_images_changed'] == 1
  assert picture.report['reconstruction_error_max'] == pytest.approx(
      0.1, rel=1e-3)
  originals, restored = picture.images[:3], picture.images[3:]
  np.testing.assert_array_equal(originals[::2], restored[::2])
  assert np.any(originals[1] != restored[1])


def test_what_is_refused(flow, labelled, split):
  """Temperatures, conditions and places."""
  testing.check_refusals(
      lambda value: pictures.samples(flow, 3, temperatures=(1.0, value)), [
          (value, f'temperature={value}: expected')
          for value in (-0.1, float('nan'), float('inf'))])
  testing.check_refusals(
      lambda value: pictures.samples(labelled, 3, condition=value), [
          (None, 'condition=None: expected labels'),
          ([0, 1, 2, 0], 'condition=4 conditions: expected one, or 3, one per'),
          ([0, 1], 'condition=2 conditions: expected one, or 3')])
  testing.check_refusals(
      lambda places: pictures.reconstructions(flow, split, places), [
          ([0, place], f'position={place}: expected an index in [0, 8].')
          for place in (9, -1)])
  testing.check_refusals(
      lambda case: pictures.interpolations(
          flow, split, case[0], num_points=case[1]), [
              (([0, 1, 2], 9), 'indices=3 indices: expected an even'),
              (([0, 1], 1), 'num_points=1: expected a number >= 2')])


def _ends():
  rng = np.random.default_rng(0)
  return rng.normal(size=[3, 200]), 1.5 * rng.normal(size=[3, 200])


def test_ends_are_exact():
  start, end = _ends()
  points = pictures.spherical_path(start, end, 7)
  assert points.shape == (3, 7, 200)
  np.testing.assert_array_equal(points[:, 0], start)
  np.testing.assert_array_equal(points[:, -1], end)
  # The other way round it is the same path.
  np.testing.assert_allclose(
      pictures.spherical_path(end, start, 7), points[:, ::-1], rtol=1e-10,
      atol=1e-12)


def test_norms_and_angles_go_in_equal_steps():
  start, end = _ends()
  points = pictures.spherical_path(start, end, 6)
  norms = np.linalg.norm(points, axis=-1)
  np.testing.assert_allclose(
      norms, np.linspace(norms[:, 0], norms[:, -1], 6, axis=1), rtol=1e-12)
  units = points / norms[..., np.newaxis]
  cosines = np.sum(units[:, 1:] * units[:, :-1], axis=-1)
  np.testing.assert_allclose(cosines, cosines[:, :1] * np.ones(5), rtol=1e-10)


def test_ends_in_one_direction():
  start = np.array([[1.0, 0.0, 0.0]])
  for distance in (0.0, 1e-12, 1e-7, 1e-3):
    end = start + [[0.0, distance, 0.0]]
    np.testing.assert_allclose(
        pictures.spherical_path(start, end, 5),
        np.linspace(start, end, 5, axis=1), atol=distance**2 + 1e-15)
  points = pictures.spherical_path([[1.0, 1.0]], [[3.0, 3.0]], 3)
  np.testing.assert_allclose(points[0], [[1, 1], [2, 2], [3, 3]], rtol=1e-15)


def test_ends_without_a_shortest_arc():
  testing.check_refusals(lambda end: pictures.spherical_path(
      [[1.0, 1.0]], end, 3), [
          (end, 'latents=zero, or opposite to each other')
          for end in ([[-2.0, -2.0]], [[0.0, 0.0]])])


def test_rows_of_labels_come_from_the_same_latents(labelled):
  rows = np.array([[2, 0, 1], [0, 1, 1]])
  picture = pictures.samples(
      labelled, 3, seed=4, condition=rows.ravel(), batch_size=4)
  x = picture.arrays['x'].reshape([2, 3, -1])
  for found, labels in zip(x, rows, strict=True):
    expected = labelled.sample(3, labels, seed=4)
    np.testing.assert_allclose(found, np.reshape(expected, [3, -1]), atol=1e-4)
  assert picture.num_columns == 3
  assert picture.report['num_samples'] == 3
  # One label is that of all samples, which make no row.
  picture = pictures.samples(labelled, 2, condition=1)
  np.testing.assert_array_equal(picture.arrays['condition'], [1, 1])
  assert picture.num_columns is None


def test_temperatures_of_several_conditions(vector64):
  """A row of every temperature for each of them."""
  conditions = np.array([[1.0, -3.0], [0.0, 5.0]])
  arrays, report = pictures.draw(
      vector64, 3, seed=1, temperatures=(0.5, 1.0),
      condition=np.repeat(conditions, 3, axis=0))
  z = vector64.draw_latents(3, seed=1).numpy()
  np.testing.assert_array_equal(
      arrays['z'], np.concatenate([0.5 * z, z, 0.5 * z, z]))
  np.testing.assert_array_equal(
      arrays['condition'], np.repeat(conditions, 6, axis=0))
  np.testing.assert_array_equal(
      arrays['temperature'], np.repeat([0.5, 1.0, 0.5, 1.0], 3))
  assert report['temperature'] == [0.5, 1.0]
  np.testing.assert_allclose(
      arrays['x'], vector64.inverse(arrays['z'], arrays['condition']),
      atol=1e-5)


def test_reconstructions(labelled, labelled_split):
  indices = [8, 0, 3, 5, 1]
  picture = pictures.reconstructions(
      labelled, labelled_split, indices, num_columns=3, batch_size=2)
  levels = labelled_split.arrays['x'].numpy()[indices]
  x, z = picture.arrays['x'], picture.arrays['z']
  np.testing.assert_allclose(x, (levels + 0.5) / 16, rtol=1e-6)
  # Every image with the latents of its label, and no others.
  labels = np.array(indices) % 3
  np.testing.assert_allclose(z, labelled.encode(x, condition=labels), atol=1e-5)
  assert np.abs(z - labelled.encode(x, condition=labels[::-1])).max() > 1e-2
  # Three originals above what became of them, then two, filled with white.
  blank = np.full([1, 4, 4, 1], 255)
  shown = evaluation.plots.levels_to_bytes(levels, 16)
  np.testing.assert_array_equal(picture.images, np.concatenate(
      [shown[:3], shown[:3], shown[3:], blank, shown[3:], blank]))
  assert picture.num_columns == 3
  error = np.abs(picture.arrays['reconstruction'] - x).max()
  assert picture.report['reconstruction_error_max'] == error
  assert 0.0 < error < 1e-3
  assert picture.report['num_images_changed'] == 0
  np.testing.assert_array_equal(picture.arrays['index'], indices)


def test_interpolations(labelled, labelled_split):
  """Paths have one condition, and exact ends.

  Also between images of other labels, which the path does not have. The test of
  tf_resflow sample has paths without a condition.
  """
  indices = [2, 7, 4, 0]
  picture = pictures.interpolations(
      labelled, labelled_split, indices, num_points=4, condition=[1],
      batch_size=3)
  levels = labelled_split.arrays['x'].numpy()[indices]
  shown = picture.images.reshape([2, 4, 4, 4, 1])
  np.testing.assert_array_equal(
      shown[:, [0, -1]].reshape(levels.shape),
      evaluation.plots.levels_to_bytes(levels, 16))
  x, z = picture.arrays['x'], picture.arrays['z']
  ends = (levels + np.float32(0.5)) / np.float32(16)
  np.testing.assert_array_equal(x[:, [0, -1]].reshape(levels.shape), ends)
  latents = labelled.encode(ends, condition=1).numpy()
  np.testing.assert_allclose(
      z, pictures.spherical_path(latents[::2], latents[1::2], 4), atol=1e-5)
  x, z = x.reshape([8, 4, 4, 1]), np.float32(z.reshape([8, 16]))
  np.testing.assert_allclose(labelled.inverse(z, 1), x, atol=1e-4)
  other = labelled.inverse(z, 2)
  assert np.abs(other - x).max(axis=(1, 2, 3)).min() > 1e-2
  assert picture.num_columns == 4
  assert picture.report['num_images_changed'] == 0
  assert 0.0 < picture.report['reconstruction_error_max'] < 1e-3
  np.testing.assert_array_equal(picture.arrays['index'], [[2, 7], [4, 0]])
