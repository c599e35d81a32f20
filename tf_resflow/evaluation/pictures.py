"""Pictures of a flow: samples, reconstructions, paths between images."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import figures
from tf_resflow.evaluation import interpolation
from tf_resflow.evaluation import inversion

PATHS = {
    'spherical': interpolation.spherical_path,
    'linear': interpolation.linear_path,
}
# Longest row of reconstructions.
_NUM_COLUMNS = 16


class Picture(NamedTuple):
  """What is shown, and what it was made of.

  Attributes:
    images: uint8 `[N, H, W, C]`, for `figures.image_grid`.
    num_columns: images in a row; None for the smallest square.
    arrays: dict of NumPy arrays, for an .npz file.
    report: dict for JSON.
  """

  images: np.ndarray
  num_columns: int | None
  arrays: dict[str, np.ndarray]
  report: dict[str, Any]


def to_bytes(x: np.ndarray, num_levels: int) -> np.ndarray:
  """Returns the integer images, scaled to bytes, in whose cells `x` lies.

  Args:
    x: floats; points outside [0, 1) go to the nearest level.
    num_levels: number of levels of the integer images.

  Returns:
    uint8, same shape.
  """
  return figures.levels_to_bytes(_quantize(x, num_levels), num_levels)


def _quantize(x, num_levels):
  return datasets.quantize(np.asarray(x, np.float32), num_levels).numpy()


def samples(
    model: models.Flow, num_samples: int, *, seed: int = 0,
    temperatures: Sequence[float] = (1.0,), num_columns: int | None = None,
    verbose: int = 0, **options: Any) -> Picture:
  """Draws samples, of several temperatures from the same draws.

  Args:
    model: a flow on images of integers.
    num_samples: samples for every temperature.
    seed: Python int; sample `i` depends on it and on `i` alone, and is that of
      `model.sample`.
    temperatures: standard deviations of the latents; several of them make one
      row each.
    num_columns: images in a row.
    verbose: 1 shows a progress bar.
    **options: of `inversion.decode`.

  Returns:
    A `Picture` with the arrays `x`, `image`, `z` and `temperature`.

  Raises:
    NotConvergedError: if the inverse of a sample was not found.
    InvalidValueError: for a temperature below 0.

  References:
    Chen et al., 2019, Residual Flows, Figure 7 (temperatures below 1, which
    reduce the entropy of the latents and do not anneal the density of images).
  """
  for temperature in temperatures:
    errors.check(0.0 <= temperature < float('inf'), 'temperature', temperature,
                 'a finite number from 0')
  draws = model.draw_latents(num_samples, seed).numpy()
  z = np.concatenate([draws.dtype.type(t) * draws for t in temperatures])
  decoded = inversion.decode(
      model, z, bar=batch_map.progress_bar(len(z), verbose), **options)
  images = to_bytes(decoded.x, model.num_levels)
  is_single = len(temperatures) == 1
  return Picture(
      images, num_columns or (None if is_single else num_samples),
      arrays={
          'x': decoded.x, 'image': images, 'z': decoded.z,
          'temperature': np.repeat(temperatures, num_samples)},
      report={
          'num_samples': num_samples, 'seed': seed,
          'temperature': temperatures[0] if is_single else list(temperatures),
          # The flow has mass beside the unit cube; it is shown as 0 or 255.
          'share_of_pixels_outside': float(
              np.mean((decoded.x < 0.0) | (decoded.x >= 1.0))),
          **decoded.report()})


def reconstructions(
    model: models.Flow, split: datasets.ImageSplit, indices: Sequence[int], *,
    num_columns: int | None = None, verbose: int = 0, **options: Any,
) -> Picture:
  """Sends images to latents and back.

  Args:
    model: a flow on images of integers.
    split: the images.
    indices: their places in it.
    num_columns: images in a row.
    verbose: 1 shows a progress bar.
    **options: of `inversion.decode`.

  Returns:
    A `Picture`: rows of images, each above a row of what became of them. Its
    arrays are `x`, `image`, `z`, `index`, `reconstruction` and
    `reconstruction_image`; its report has `reconstruction_error_max` and
    `num_images_changed`, of which a pixel has another level now.

  Raises:
    NotConvergedError: if the inverse of an image was not found.
    InvalidValueError: if a place is not in the split.
  """
  levels, x, z = _encode(model, split, indices, options)
  decoded = inversion.decode(
      model, z, bar=batch_map.progress_bar(len(z), verbose), **options)
  originals = figures.levels_to_bytes(levels, model.num_levels)
  restored = to_bytes(decoded.x, model.num_levels)
  num_columns = num_columns or min(len(x), _NUM_COLUMNS)
  # The last row is filled with white.
  filled = np.pad(
      np.stack([originals, restored]),
      [(0, 0), (0, -len(x) % num_columns), (0, 0), (0, 0), (0, 0)],
      constant_values=255)
  rows = filled.reshape([2, -1, num_columns, *x.shape[1:]]).swapaxes(0, 1)
  return Picture(
      rows.reshape([-1, *x.shape[1:]]), num_columns,
      arrays={
          'x': x, 'image': originals, 'z': z, 'index': np.asarray(indices),
          'reconstruction': decoded.x, 'reconstruction_image': restored},
      report={
          'num_images': len(x),
          **_errors(levels, x, decoded.x, model.num_levels),
          **decoded.report()})


def interpolations(
    model: models.Flow, split: datasets.ImageSplit, indices: Sequence[int], *,
    num_points: int = 10, path: str = 'spherical', verbose: int = 0,
    **options: Any) -> Picture:
  """Goes from image to image through latent space.

  Args:
    model: a flow on images of integers.
    split: the images.
    indices: their places in it, in pairs: start, end, start, end.
    num_points: images of a path, both ends included.
    path: one of `PATHS`, see `interpolation`.
    verbose: 1 shows a progress bar.
    **options: of `inversion.decode`.

  Returns:
    A `Picture` with a row for every pair, whose ends are the images
    themselves; its arrays are `x`, `image`, `z` `[P, num_points, ...]` and
    `index` `[P, 2]`. The ends are inverted like the points between them, and
    the report has their errors, see `reconstructions`.

  Raises:
    NotConvergedError: if the inverse of a point was not found.
    InvalidValueError: if the number of places is odd, or one is not in the
      split.
  """
  errors.check(len(indices) % 2 == 0, 'indices', f'{len(indices)} places',
               'pairs of places')
  levels, x, z = _encode(model, split, indices, options)
  points = PATHS[path](z[::2], z[1::2], num_points)  # [P, T, D]
  decoded = inversion.decode(
      model, points.reshape([-1, points.shape[-1]]).astype(z.dtype),
      bar=batch_map.progress_bar(len(points) * num_points, verbose), **options)
  rows = decoded.x.reshape([*points.shape[:2], *x.shape[1:]])
  report = {
      'num_pairs': len(points), 'num_points': num_points, 'path': path,
      **_errors(levels, x, rows[:, [0, -1]].reshape(x.shape), model.num_levels),
      **decoded.report()}
  rows[:, [0, -1]] = x.reshape([-1, 2, *x.shape[1:]])
  images = to_bytes(rows, model.num_levels)
  return Picture(
      images.reshape([-1, *x.shape[1:]]), num_points,
      arrays={
          'x': rows, 'image': images, 'z': decoded.z.reshape(points.shape),
          'index': np.reshape(indices, [-1, 2])},
      report=report)


def _encode(model, split, indices, options):
  """Returns levels, points in the middle of their cells, and latents."""
  levels = split.images_at(indices)
  x = datasets.dequantize(
      levels, np.float32(0.5), model.num_levels).numpy().astype(
          model.compute_dtype)
  batch_size = options.get('batch_size', len(x))
  z = np.concatenate([
      model(x[i:i + batch_size]).numpy() for i in range(0, len(x), batch_size)])
  return levels, x, z


def _errors(levels, x, restored, num_levels):
  """The part of a report on images that were restored."""
  changed = np.any(_quantize(restored, num_levels) != levels, axis=(1, 2, 3))
  return {
      'reconstruction_error_max': float(np.abs(restored - x).max()),
      'num_images_changed': int(np.sum(changed))}
