"""Image grids pixel by pixel, and PNG files read back."""

import numpy as np
import tensorflow as tf

from tests import testing
from tf_resflow.evaluation import figures


def test_grid_places_every_pixel():
  images = np.random.RandomState(0).randint(200, size=(5, 2, 3, 1), dtype='u1')
  grid = figures.image_grid(images, num_columns=3, padding=1, scale=1)
  assert grid.shape == (7, 13, 1) and grid.dtype == np.uint8
  expected = np.full([7, 13, 1], 255, np.uint8)
  for i in range(5):
    for y in range(2):
      for x in range(3):
        expected[1 + 3 * (i // 3) + y, 1 + 4 * (i % 3) + x] = images[i, y, x]
  np.testing.assert_array_equal(grid, expected)


def test_enlargement_is_nearest_neighbour():
  images = np.random.RandomState(1).randint(256, size=(2, 4, 4, 3), dtype='u1')
  small = figures.image_grid(images, scale=1)
  large = figures.image_grid(images, scale=3)
  assert large.shape == tuple(3 * s for s in small.shape[:2]) + (3,)
  for offset in range(3):
    np.testing.assert_array_equal(large[offset::3, offset::3], small)


def test_grids_are_nearly_square_and_tiny_images_enlarged():
  for num_images, size, scale, shape in (
      (1, 8, 8, (1, 1)), (10, 28, 3, (3, 4)), (64, 64, 1, (8, 8)),
      (2, 256, 1, (1, 2))):
    images = np.zeros([num_images, size, size, 1], np.uint8)
    grid = figures.image_grid(images, padding=0)
    assert grid.shape == (*(scale * size * n for n in shape), 1)


def test_floats_give_back_all_256_levels():
  levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
  for floats in (
      (levels / 255.0).astype(np.float32), levels / 255.0,
      (levels / 256.0).astype(np.float32),
      np.minimum((levels + 0.999) / 256.0, 1.0)):
    grid = figures.image_grid(floats, padding=0, scale=1)
    np.testing.assert_array_equal(grid, levels[0])


def test_levels_become_bytes():
  for num_levels in (2, 17, 32, 256):
    levels = np.arange(num_levels, dtype=np.uint8)
    found = figures.levels_to_bytes(levels, num_levels)
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
    figures.save_image(path, image)
    content = path.read_bytes()
    assert content.startswith(b'\x89PNG')
    np.testing.assert_array_equal(tf.io.decode_png(content), image)
  images = np.random.RandomState(3).rand(4, 8, 8, 1)
  figures.save_image_grid(path, images, num_columns=4)
  np.testing.assert_array_equal(
      tf.io.decode_png(path.read_bytes()),
      figures.image_grid(images, num_columns=4))


def test_what_is_refused(tmp_path):
  with_nan = np.zeros([3, 2, 2, 1], np.float32)
  with_nan[1, 0, 0, 0] = np.nan
  image = np.zeros([1, 2, 2, 1], np.uint8)
  testing.check_refusals(lambda x: figures.image_grid(x[0], **x[1]), [
      ((with_nan, {}), '...1 of 3 with NaN'),
      ((np.full([1, 2, 2, 1], 1.01), {}), '...expected floats in [0, 1]'),
      ((np.full([1, 2, 2, 1], -0.01), {}), '...expected floats in [0, 1]'),
      ((np.zeros([2, 2, 1], np.uint8), {}), '...an array (2, 2, 1)'),
      ((np.zeros([1, 2, 2, 2], np.uint8), {}), '...1 or 3'),
      ((np.zeros([0, 2, 2, 1], np.uint8), {}), '...not empty'),
      ((np.zeros([1, 2, 2, 1], np.int64), {}), '...int64'),
      ((image, {'num_columns': 0}), 'num_columns=0: expected'),
      ((image, {'scale': 0}), 'scale=0: expected'),
      ((image, {'padding': -1}), 'padding=-1: expected')])
  testing.check_refusals(lambda x: figures.levels_to_bytes(*x), [
      ((np.array([17]), 17), 'levels=17..17: expected numbers from 0 to 16'),
      ((np.array([-1]), 17), 'levels=-1..-1: expected numbers from 0 to 16'),
      ((np.array([0]), 257), 'num_levels=257: expected'),
      ((np.array([0]), 1), 'num_levels=1: expected')])
  testing.check_refusals(lambda x: figures.save_image(tmp_path / x[0], x[1]), [
      (('image.jpg', image[0]), 'path=...ends in .png'),
      (('image.png', np.float32(image[0])), 'image=float32...expected uint8')])
  assert not list(tmp_path.iterdir())
