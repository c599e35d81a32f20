"""Image grids and PNG files."""

import math
import os

import numpy as np
import tensorflow as tf

# Cells of a grid are enlarged until they measure about this many pixels.
_TARGET_CELL_SIZE = 64
_BACKGROUND = 255


def image_grid(images, num_columns: int | None = None, padding: int = 1,
               scale: int | None = None) -> np.ndarray:
  """Lays images out in rows, left to right, on a white background.

  Floats become bytes by min(floor(256 x), 255), which gives back X from
  X / 255 and from the dequantised (X + U) / 256 alike. Integer images with
  fewer than 256 levels must be scaled first: X / (num_levels - 1).

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
    ValueError: for other shapes and dtypes, NaN, or floats outside [0, 1].

  Example:
    >>> image_grid(np.zeros([10, 8, 8, 1], np.uint8)).shape
    (224, 296, 1)
  """
  images = _to_bytes(images)
  num_images, height, width, num_channels = images.shape
  if num_columns is None:
    num_columns = math.ceil(math.sqrt(num_images))
  if scale is None:
    scale = max(1, math.ceil(_TARGET_CELL_SIZE / max(height, width)))
  if num_columns < 1 or scale < 1 or padding < 0:
    raise ValueError(
        'num_columns and scale must be at least 1 and padding at least 0, got '
        f'num_columns={num_columns}, scale={scale}, padding={padding}.')
  num_rows = math.ceil(num_images / num_columns)
  step_y, step_x = height + padding, width + padding
  grid = np.full(
      [num_rows * step_y + padding, num_columns * step_x + padding,
       num_channels], _BACKGROUND, np.uint8)
  for i, image in enumerate(images):
    row, column = divmod(i, num_columns)
    y, x = padding + row * step_y, padding + column * step_x
    grid[y:y + height, x:x + width] = image
  return grid.repeat(scale, axis=0).repeat(scale, axis=1)


def save_image(path, image) -> None:
  """Writes one image as a PNG file and makes its folder if need be.

  Args:
    path: file name that ends in .png.
    image: uint8 [H, W, C]; C is 1 (grey) or 3 (RGB).

  Raises:
    ValueError: for another file type, dtype or shape.

  Example:
    >>> save_image('grid.png', image_grid(np.zeros([4, 8, 8, 1])))
  """
  path = os.fspath(path)
  image = np.asarray(image)
  if not path.lower().endswith('.png'):
    raise ValueError(f'only PNG files are written, got the path {path!r}; let '
                     'it end in .png.')
  if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] not in (1,
                                                                           3):
    raise ValueError(
        f'image must be uint8 [H, W, 1 or 3], got {image.dtype} of shape '
        f'{image.shape}; image_grid makes one from a batch.')
  folder = os.path.dirname(path)
  if folder:
    tf.io.gfile.makedirs(folder)
  with tf.io.gfile.GFile(path, 'wb') as file:
    file.write(tf.io.encode_png(image).numpy())


def save_image_grid(path, images, **grid_options) -> None:
  """Writes a batch of images as one PNG file.

  Args:
    path: file name that ends in .png.
    images: [N, H, W, C] as for `image_grid`.
    **grid_options: further arguments of `image_grid`.

  Raises:
    ValueError: as `image_grid` and `save_image` do.

  Example:
    >>> save_image_grid('grid.png', np.zeros([4, 8, 8, 1]), num_columns=2)
  """
  save_image(path, image_grid(images, **grid_options))


def _to_bytes(images):
  """Returns images as uint8 [N, H, W, C]."""
  images = np.asarray(images)
  if images.ndim != 4 or images.size == 0 or images.shape[-1] not in (1, 3):
    raise ValueError('images must be a non-empty batch [N, H, W, 1 or 3], got '
                     f'shape {images.shape}.')
  if images.dtype == np.uint8:
    return images
  if not np.issubdtype(images.dtype, np.floating):
    raise ValueError('images must be uint8 in 0..255 or floats in [0, 1], got '
                     f'{images.dtype}.')
  num_bad = np.count_nonzero(~np.isfinite(images).all(axis=(1, 2, 3)))
  if num_bad:
    raise ValueError(f'{num_bad} of {len(images)} images have NaN or infinite '
                     'pixels; a grid would hide that they failed.')
  low, high = images.min(), images.max()
  if low < 0.0 or high > 1.0:
    raise ValueError(
        f'float images must lie in [0, 1], got [{low:.4g}, {high:.4g}]; scale '
        'them, or clip samples with np.clip(images, 0, 1).')
  # float64, so that 256 x is exact for every float32 x.
  return np.minimum(np.floor(images.astype(np.float64) * 256.0),
                    255.0).astype(np.uint8)
