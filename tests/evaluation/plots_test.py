"""Image grids pixel by pixel, PNG files read back; densities in closed form."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.evaluation import plots


def test_grid_places_every_pixel():
  """And enlarges it, here 22 times, to squares of one colour."""
  images = np.random.RandomState(0).randint(200, size=(5, 2, 3, 3), dtype='u1')
  grid = plots.image_grid(images, num_columns=3)
  assert grid.shape == (22 * 7, 22 * 13, 3) and grid.dtype == np.uint8
  expected = np.full([7, 13, 3], 255, np.uint8)
  for i in range(5):
    for y in range(2):
      for x in range(3):
        expected[1 + 3 * (i // 3) + y, 1 + 4 * (i % 3) + x] = images[i, y, x]
  np.testing.assert_array_equal(
      grid.reshape([7, 22, 13, 22, 3]),
      np.broadcast_to(expected[:, None, :, None], [7, 22, 13, 22, 3]))
  # No row has more columns than there are images.
  np.testing.assert_array_equal(
      *(plots.image_grid(images, num_columns=n) for n in (5, 10**9)))


def test_grids_are_nearly_square_and_tiny_images_enlarged():
  for num_images, size, scale, shape in (
      (1, 8, 8, (1, 1)), (10, 28, 3, (3, 4)), (64, 64, 1, (8, 8)),
      (2, 256, 1, (1, 2))):
    images = np.zeros([num_images, size, size, 1], np.uint8)
    grid = plots.image_grid(images)
    assert grid.shape == (*(scale * ((size + 1) * n + 1) for n in shape), 1)


def test_floats_give_back_all_256_levels():
  levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  for floats in (
      (levels / 255.0).astype(np.float32), levels / 255.0,
      (levels / 256.0).astype(np.float32),
      np.minimum((levels + 0.999) / 256.0, 1.0)):
    grid = plots.image_grid(floats)
    np.testing.assert_array_equal(grid[4:-4:4, 4:-4:4], levels[0])


def test_levels_become_bytes():
  for num_levels in (2, 17, 32, 256):
    levels = np.arange(num_levels, dtype=np.uint8)
    found = plots.levels_to_bytes(levels, num_levels)
    assert found.dtype == np.uint8
    exact = 255.0 * levels / (num_levels - 1)
    assert np.abs(found - exact).max() <= 0.5
    assert (found[0], found[-1]) == (0, 255)
  np.testing.assert_array_equal(found, levels)


def test_png_round_trip(tmp_path):
  path = tmp_path / 'new_folder' / 'image.png'
  for num_channels in (1, 3):
    image = np.random.RandomState(2).randint(
        256, size=(9, 7, num_channels), dtype='u1')
    plots.save_image(path, image)
    content = path.read_bytes()
    assert content.startswith(b'\x89PNG')
    np.testing.assert_array_equal(tf.io.decode_png(content), image)
  images = np.random.RandomState(3).rand(4, 8, 8, 1)
  plots.save_image_grid(path, images, num_columns=4)
  np.testing.assert_array_equal(
      tf.io.decode_png(path.read_bytes()),
      plots.image_grid(images, num_columns=4))


def test_what_is_refused(tmp_path):
  with_nan = np.zeros([3, 2, 2, 1], np.float32)
  with_nan[1, 0, 0, 0] = np.nan
  image = np.zeros([1, 2, 2, 1], np.uint8)
  testing.check_refusals(lambda x: plots.image_grid(x[0], **x[1]), [
      ((with_nan, {}), 'images=float32 in [nan, nan]: expected uint8'),
      ((np.full([1, 2, 2, 1], 1.01), {}), '...or floats in [0, 1]'),
      ((np.full([1, 2, 2, 1], -0.01), {}), '...or floats in [0, 1]'),
      ((np.zeros([2, 2, 1], np.uint8), {}), '...an array (2, 2, 1)'),
      ((np.zeros([1, 2, 2, 2], np.uint8), {}), '...1 or 3'),
      ((np.zeros([0, 2, 2, 1], np.uint8), {}), '...not empty'),
      ((np.zeros([1, 2, 2, 1], np.int64), {}), '...int64'),
      ((image, {'num_columns': 0}), 'num_columns=0: expected')])
  testing.check_refusals(lambda x: plots.levels_to_bytes(*x), [
      ((np.array([17]), 17), 'levels=17..17: expected numbers from 0 to 16'),
      ((np.array([-1]), 17), 'levels=-1..-1: expected numbers from 0 to 16')])
  testing.check_refusals(lambda x: plots.save_image(tmp_path / x, image[0]), [
      ('image.jpg', 'path=...ends in .png')])
  assert not list(tmp_path.iterdir())


@pytest.fixture(scope='module', name='normal')
def _normal():
  """A normal distribution with mean (1, -2) and deviations (0.5, 2)."""
  return models.Flow(layers.Standardize([1.0, -2.0], [0.5, 2.0]), (2,))


def test_density_on_a_grid(normal):
  box = evaluation.Box((0.5, -1.0), (3.0, 3.0))
  found = evaluation.density_on_grid(normal, box, 6)
  x = 0.5 + np.arange(-2.5, 3.0)
  y = -1.0 + np.arange(-2.5, 3.0)
  expected = np.exp(
      -0.5 * ((x - 1.0) / 0.5)**2 - 0.5 * ((y[:, np.newaxis] + 2.0) / 2.0)**2
  ) / (2.0 * np.pi)
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_integrals(normal):
  """1 of what a box holds, whatever the flow has learned."""
  wide = evaluation.Box((1.0, -2.0), (4.0, 16.0))
  assert evaluation.integral(normal, wide, 100) == pytest.approx(1.0, abs=1e-4)
  # Half of it.
  half = evaluation.Box((5.0, -2.0), (4.0, 16.0))
  assert evaluation.integral(normal, half, 100) == pytest.approx(0.5, abs=1e-4)
  flow = models.VectorFlowConfig(
      num_blocks=2, hidden_units=(8,), activation='cpila').build()
  rng = np.random.default_rng(0)
  flow.initialize(tf.constant(rng.normal(size=[256, 2]), tf.float32))
  for variable in flow.trainable_variables:
    variable.assign_add(0.3 * rng.normal(size=variable.shape))
  around = evaluation.Box((0.0, 0.0), (20.0, 20.0))
  assert evaluation.integral(flow, around, 200) == pytest.approx(1.0, abs=1e-3)

  # A run traces its pictures once, while the weights change.
  log_prob = plots.traced_log_prob(flow)
  for _ in range(2):
    before = [v.numpy() for v in flow.variables]
    np.testing.assert_allclose(
        evaluation.density_on_grid(flow, around, 40, log_prob_fn=log_prob),
        evaluation.density_on_grid(flow, around, 40), atol=1e-6)
    np.testing.assert_equal([v.numpy() for v in flow.variables], before)
    flow.trainable_variables[0].assign_add(
        0.1 * np.ones_like(flow.trainable_variables[0]))


def test_the_box_around_points():
  points = np.random.default_rng(0).uniform(
      [-1.0, 4.0], [3.0, 5.0], [100_000, 2])
  points[0] = [1e6, 0.0]  # One that lies far away is left out.
  box = evaluation.Box.around(points, margin=0.25)
  np.testing.assert_allclose(box.center, [1.0, 4.5], atol=0.01)
  # Four times as wide as high.
  np.testing.assert_allclose(box.half_widths, [2.5, 0.625], rtol=0.01)
  np.testing.assert_allclose(
      box.ranges, [(-1.5, 3.5), (3.875, 5.125)], atol=0.04)
  # A square where that is not far from it.
  near = evaluation.Box.around(points * [1.0, 2.0], margin=0.25)
  np.testing.assert_allclose(near.half_widths, [2.5, 2.5], rtol=0.01)
  assert min(evaluation.Box.around(np.zeros([3, 2])).half_widths) > 0


def test_picture(normal):
  """Where there are points, panels are bright; elsewhere they are dark."""
  points = np.random.default_rng(0).normal([1.0, -2.0], [0.5, 2.0], [5000, 2])
  picture = evaluation.density_picture(normal, points, num_samples=5000)
  assert picture.dtype == np.uint8 and picture.shape[2] == 3
  assert picture.shape[1] == pytest.approx(900, abs=2)
  few = evaluation.density_picture(normal, samples=points)
  assert few.shape[1] == pytest.approx(600, abs=2)
  other = evaluation.density_picture(normal, points, seed=1, num_samples=5000)
  changed = np.any(other != picture, axis=(0, 2))
  assert not changed[:600].any() and changed[600:].any()
  for panel in np.array_split(picture, 3, axis=1):
    middle, side = panel[140:190, 145:185], panel[140:190, 50:90]
    assert middle.astype(int).sum() > 1.3 * side.astype(int).sum()


def test_only_of_the_plane():
  line = models.Flow(layers.Standardize([0.0], [1.0]), (1,))
  with pytest.raises(errors.InvalidValueError, match='expected a 2-D flow'):
    evaluation.density_on_grid(line, evaluation.Box((0.0, 0.0), (1.0, 1.0)))


def test_densities_at_a_condition(vector64):
  box = evaluation.Box((0.0, 0.0), (2.0, 2.0))
  middles = -2.0 + 0.8 * (0.5 + np.arange(5))
  points = np.stack(np.meshgrid(middles, middles), axis=-1).reshape([-1, 2])
  grids = []
  for condition in ([1.0, -3.0], [0.0, 5.0]):
    grids.append(evaluation.density_on_grid(
        vector64, box, 5, condition=condition))
    expected = np.exp(vector64.log_prob(
        points, np.tile(condition, [25, 1]), estimator='exact'))
    np.testing.assert_allclose(grids[-1], expected.reshape([5, 5]), rtol=1e-9)
  assert np.abs(grids[0] - grids[1]).max() > 1e-3
  first, other = (
      evaluation.density_picture(vector64, num_samples=200, condition=condition)
      for condition in ([1.0, -3.0], [0.0, 5.0]))
  # Samples and density alike.
  changed = np.any(first != other, axis=(0, 2))
  assert changed[:300].any() and changed[300:].any()


def test_picture_of_ranks(tmp_path):
  band = evaluation.statistics.simultaneous_band(200, 99)
  ranks = {'theta': np.arange(200) % 100, 'log_prob': np.zeros(200, int)}
  for suffix, start in (('png', b'\x89PNG'), ('svg', b'<?xml')):
    path = tmp_path / f'ranks.{suffix}'
    evaluation.plots.ranks_figure(ranks, band).savefig(path)
    assert path.read_bytes().startswith(start)
  text = path.read_text()
  assert 'theta' in text and '99% of uniform ranks' in text


def test_pairs_of_columns():
  """Below the diagonal points, on it histograms; nothing above."""
  rng = np.random.default_rng(0)
  parts = {'data': rng.normal(size=[30, 3]), 'samples': rng.normal(size=[9, 3])}
  figure = plots.pair_plot(['a', 'b', 'c'], parts)
  assert len(figure.axes) == 6
  by_place = {
      (axis.get_ylabel(), axis.get_xlabel()): axis for axis in figure.axes}
  assert {('b', ''), ('c', 'a'), ('', 'b'), ('', 'c')} < {*by_place}
  for x, line in zip(
      parts.values(), by_place['c', 'a'].lines, strict=True):
    np.testing.assert_array_equal(line.get_xydata(), x[:, [0, 2]])
  assert [text.get_text() for text in figure.axes[0].get_legend().texts] == [
      'data', 'samples']
  many = plots.pair_plot(['$a$_', *'bcdefghi'], {
      'data': rng.normal(size=[5, 9])})
  assert len(many.axes) == 36
  assert plots.rendered(many).any()  # Names are no formulas.
