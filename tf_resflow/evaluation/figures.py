"""Image grids and PNG files."""

import math
import os
from typing import Any

import numpy as np
from numpy import typing as npt
import tensorflow as tf

from tf_resflow import errors

# Cells of a grid are enlarged until they measure about this many pixels.
_TARGET_CELL_SIZE = 64
_BACKGROUND = 255


def image_grid(
    images: npt.ArrayLike, num_columns: int | None = None, padding: int = 1,
    scale: int | None = None) -> np.ndarray:
  """Lays images out in rows, left to right, on a white background.

  Floats become bytes by min(floor(256 x), 255), which gives back X from
  X / 255 and from the dequantised (X + U) / 256 alike. Integer images with
  fewer than 256 levels must be scaled first, see `levels_to_bytes`.

  Args:
    images: [N, H, W, C], uint8 in 0..255 or floats in [0, 1]; C is 1 or 3.
    num_columns: images per row; by default the smallest square.
    padding: background around every image, in pixels of the images.
    scale: integer factor of the nearest-neighbour enlargement; by default the
      smallest one that brings the longer side of an image to 64 pixels.

  Returns:
    uint8 [scale * (rows * (H + padding) + padding),
    scale * (columns * (W + padding) + padding), C].

  Raises:
    InvalidValueError: for other shapes and dtypes, NaN, or floats outside
      [0, 1].

  Example:
    >>> image_grid(np.zeros([10, 8, 8, 1], np.uint8)).shape
    (224, 296, 1)
  """
  images = _to_bytes(images)
  num_images, height, width, num_channels = images.shape
  num_columns = (
      math.ceil(math.sqrt(num_images)) if num_columns is None else num_columns)
  scale = (
      max(1, math.ceil(_TARGET_CELL_SIZE / max(height, width)))
      if scale is None else scale)
  for name, value, least in (
      ('num_columns', num_columns, 1), ('scale', scale, 1),
      ('padding', padding, 0)):
    errors.check(value >= least, name, value, f'a number from {least}')
  # Every cell has the background above and on its left; missing ones are it.
  cells = np.pad(
      images, [(0, -num_images % num_columns), (padding, 0), (padding, 0),
               (0, 0)], constant_values=_BACKGROUND)
  rows = cells.reshape([-1, num_columns, *cells.shape[1:]]).swapaxes(1, 2)
  grid = np.pad(
      rows.reshape([-1, num_columns * cells.shape[2], num_channels]),
      [(0, padding), (0, padding), (0, 0)], constant_values=_BACKGROUND)
  return grid.repeat(scale, axis=0).repeat(scale, axis=1)


def levels_to_bytes(levels: npt.ArrayLike, num_levels: int) -> np.ndarray:
  """Scales integer images to bytes: round(255 X / (num_levels - 1)).

  Args:
    levels: integers X in 0..num_levels-1, any shape.
    num_levels: 2..256.

  Returns:
    uint8, same shape: 0 for the lowest level, 255 for the highest.

  Example:
    >>> levels_to_bytes(np.array([0, 8, 16]), 17).tolist()
    [0, 128, 255]
  """
  levels = np.asarray(levels)
  errors.check(2 <= num_levels <= 256, 'num_levels', num_levels,
               'a number from 2 to 256')
  low, high = levels.min(), levels.max()
  errors.check(0 <= low and high < num_levels, 'levels', f'{low}..{high}',
               f'numbers from 0 to {num_levels - 1}')
  # Halves are rounded up.
  return np.floor(255.0 * levels / (num_levels - 1) + 0.5).astype(np.uint8)


def save_image(path: str | os.PathLike, image: npt.ArrayLike) -> None:
  """Writes one image as a PNG file and makes its folder if need be.

  Args:
    path: file name that ends in .png.
    image: uint8 [H, W, C]; C is 1 (grey) or 3 (RGB).

  Raises:
    InvalidValueError: for another file type, dtype or shape.
  """
  image = np.asarray(image)
  errors.check(os.fspath(path).lower().endswith('.png'), 'path', path,
               'a name that ends in .png')
  errors.check(
      image.dtype == np.uint8 and image.ndim == 3 and image.shape[-1] in (1, 3),
      'image', f'{image.dtype} {image.shape}', 'uint8 [H, W, 1 or 3]',
      'image_grid makes one from a batch.')
  tf.io.write_file(os.fspath(path), tf.io.encode_png(image))


def save_image_grid(
    path: str | os.PathLike, images: npt.ArrayLike, **grid_options: Any,
) -> None:
  """Writes a batch of images as one PNG file.

  Args:
    path: file name that ends in .png.
    images: [N, H, W, C] as for `image_grid`.
    **grid_options: further arguments of `image_grid`.

  Raises:
    InvalidValueError: as `image_grid` and `save_image` do.

  Example:
    >>> save_image_grid('grid.png', np.zeros([4, 8, 8, 1]), num_columns=2)
  """
  save_image(path, image_grid(images, **grid_options))


def _to_bytes(images):
  """Returns images as uint8 [N, H, W, C]."""
  images = np.asarray(images)
  errors.check(
      images.ndim == 4 and images.size > 0 and images.shape[-1] in (1, 3),
      'images', f'an array {images.shape}',
      'a batch [N, H, W, 1 or 3], not empty')
  if images.dtype == np.uint8:
    return images
  errors.check(
      np.issubdtype(images.dtype, np.floating), 'images', images.dtype,
      'uint8 in 0..255 or floats in [0, 1]')
  num_bad = np.count_nonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
  errors.check(
      num_bad == 0, 'images',
      f'{num_bad} of {len(images)} with NaN or infinite pixels',
      'finite numbers', 'A grid would hide that they failed.')
  low, high = images.min(), images.max()
  errors.check(
      0.0 <= low and high <= 1.0, 'images', f'[{low:.4g}, {high:.4g}]',
      'floats in [0, 1]',
      'Scale them, or clip samples with np.clip(images, 0, 1).')
  # float64, so that 256 x is exact for every float32 x.
  return np.minimum(np.floor(images.astype(np.float64) * 256.0),
                    255.0).astype(np.uint8)
