"""Pictures of a flow: samples, reconstructions, paths between images."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import spatial

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import inversion
from tf_resflow.evaluation import plots
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.numerics import random

# Longest row of reconstructions.
_NUM_COLUMNS = 16


def spherical_path(
    start: npt.ArrayLike, end: npt.ArrayLike, num_points: int) -> np.ndarray:
  """Returns points on arcs between latents, with norms in between.

  With `a` the angle between the two directions and `t` from 0 to 1,

    z_t = |z_t| (sin((1-t) a) start/|start| + sin(t a) end/|end|) / sin(a),
    |z_t| = (1-t) |start| + t |end|.

  Draws from a normal distribution in many dimensions lie close to a sphere. A
  straight line leaves it: half way between two independent latents the norm is
  smaller by sqrt(2), a norm that samples never have. For latents of equal norm
  at right angles the path is `cos(t pi/2) start + sin(t pi/2) end`, along which
  independent standard normals stay standard normal.

  Args:
    start, end: `[P, D]`, latents where the paths begin and end.
    num_points: number of points, both ends included, at least 2.

  Returns:
    Float64 `[P, num_points, D]`; both ends are exactly the given ones.

  Raises:
    InvalidValueError: if a pair has no shortest arc: a zero vector, or two
      opposite directions.

  Example:
    >>> path = spherical_path([[2.0, 0.0]], [[0.0, 2.0]], 3)
    >>> np.allclose(path[0, 1], [np.sqrt(2.0), np.sqrt(2.0)])
    True

  References:
    Shoemake, 1985, Animating Rotation with Quaternion Curves (slerp); White,
    2016, Sampling Generative Networks.
  """
  start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
  norms = [np.linalg.norm(z, axis=-1, keepdims=True) for z in (start, end)]
  sums = np.linalg.norm(
      start * norms[1] + end * norms[0], axis=-1, keepdims=True)
  errors.check(
      np.all(sums > 1e-6 * norms[0] * norms[1]), 'latents',
      'zero, or opposite to each other',
      'directions with a unique shortest arc', 'Choose another pair.')
  a, b = start / norms[0], end / norms[1]
  t = np.linspace(0.0, 1.0, num_points)
  path = np.linspace(*norms, num_points, axis=1) * np.stack([
      spatial.geometric_slerp(*pair, t) for pair in zip(a, b, strict=True)])
  path[:, 0], path[:, -1] = start, end
  return path


class Picture(NamedTuple):
  """Images to show, with the arrays they were made of and a report.

  Attributes:
    images: uint8 `[N, H, W, C]`, for `plots.image_grid`.
    num_columns: images in a row; None for the smallest square.
    arrays: dict of NumPy arrays, for an .npz file.
    report: dict for JSON.
  """

  images: np.ndarray
  num_columns: int | None
  arrays: dict[str, np.ndarray]
  report: dict[str, Any]


def to_bytes(x: np.ndarray, num_levels: int) -> np.ndarray:
  """Quantises floats to their levels, and scales these to bytes.

  Points outside [0, 1) go to the nearest level.
  """
  return plots.levels_to_bytes(_quantize(x, num_levels), num_levels)


def _quantize(x, num_levels):
  return datasets.quantize(np.asarray(x, np.float32), num_levels).numpy()


def samples(
    model: models.Flow, num_samples: int, *, num_columns: int | None = None,
    **options: Any) -> Picture:
  """Returns a picture of the samples of `draw`, with its arrays and `image`.

  Args:
    model: a flow on images of integers.
    num_samples, **options: of `draw`.
    num_columns: images in a row.
  """
  arrays, report = draw(model, num_samples, **options)
  x = arrays['x']
  arrays['image'] = to_bytes(x, model.num_levels)
  # The flow has mass outside of the unit cube, which is shown as 0 or 255.
  report['share_of_pixels_outside'] = float(np.mean((x < 0.0) | (x >= 1.0)))
  if len(x) > num_samples:
    num_columns = num_columns or num_samples
  return Picture(arrays['image'], num_columns, arrays, report)


def draw(
    model: models.Flow, num_samples: int, *, seed: int = 0,
    temperatures: Sequence[float] = (1.0,), condition: Any = None,
    **options: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
  """Draws events of any flow; several temperatures share the same latents.

  Args:
    num_samples: samples for every temperature.
    seed: sample `i` depends on it and on `i` alone, and is that of
      `model.sample`.
    temperatures: of the latents, see `Flow.draw_latents`; several of them make
      one row each.
    condition: of a flow `p(x|c)`: `[num_samples, ...]`, or a single one for
      all, or `[R num_samples, ...]` for `R` rows from the same latents.
    **options: of `inversion.decode`.

  Returns:
    The arrays `x` `[N, ...]`, `z` `[N, D]`, `temperature` `[N]`, and
    `condition` `[N, ...]` where there are some; and a dict for JSON.

  Raises:
    NotConvergedError: if the inverse of a sample was not found.
    InvalidValueError: for a temperature below 0.

  References:
    Chen et al., 2019, Residual Flows, Figure 7 (temperatures below 1, which
    reduce the entropy of the latents and do not anneal the density of images).
  """
  parts, conditions = zip(*draw_batches(
      model, num_samples, seed=seed, temperatures=temperatures,
      condition=condition, **options), strict=True)
  decoded = inversion.join(parts)
  is_single = len(temperatures) == 1
  return {
      'x': decoded.x, 'z': decoded.z, 'temperature': np.resize(
          np.repeat(temperatures, num_samples), len(decoded.x)),
      **({} if condition is None else {
          'condition': np.concatenate(conditions)})}, {
          'num_samples': num_samples, 'seed': seed,
          'temperature': temperatures[0] if is_single else list(temperatures),
          **decoded.report()}


def draw_batches(
    model: models.Flow, num_samples: int, *,
    temperatures: Sequence[float] = (1.0,), condition: Any = None,
    solver: Any = None, **settings: Any,
) -> Iterator[tuple[inversion.Decoded, np.ndarray | None]]:
  """Yields what `draw` draws, any number of samples, in batches.

  The arguments are those of `draw`, with the seed among the settings; see
  `EvaluationSettings`. Beside a batch stand its conditions, if there are some.
  """
  errors.check(num_samples > 0, 'num_samples', num_samples, 'a number > 0')
  for temperature in temperatures:
    errors.check(0.0 <= temperature < float('inf'), 'temperature', temperature,
                 'a finite number >= 0')
  used = settings_lib.EvaluationSettings.of(model, **settings)
  condition = batch_map.conditions_for(model, condition)
  num_given = 1 if condition is None else len(condition)
  errors.check(
      num_given == 1 or num_given % num_samples == 0, 'condition',
      f'{num_given} conditions',
      f'one, or {num_samples}, one per sample, or a multiple of these')
  row = len(temperatures) * num_samples
  size = row * max(1, num_given // num_samples)
  given: list[np.ndarray | None] = []

  def latents():
    batch_size = min(used.batch_size, size)
    for start in range(0, size, batch_size):
      # Always a full batch, so that one graph draws all of them.
      numbers = np.arange(start, start + batch_size)
      places = (numbers // row * num_samples + numbers % num_samples)[
          :size - start]
      given.append(
          None if condition is None else condition[places % num_given])
      z = model.base.draw(
          np.int32(numbers % num_samples), random.as_seed(used.seed).values,
          np.take(np.array(temperatures, model.compute_dtype)[:, np.newaxis],
                  numbers // num_samples, axis=0, mode='wrap'))[:size - start]
      yield (z,) if condition is None else (z, given[-1])

  for part in inversion.decode_batches(
      model, latents(), solver, used.strategy,
      batch_map.progress_bar(size, used.verbose)):
    yield part, given.pop(0)


def reconstructions(
    model: models.Flow, split: datasets.Split, indices: Sequence[int], *,
    num_columns: int | None = None, **options: Any) -> Picture:
  """Maps images to latents and back.

  Args:
    model: a flow on images of integers.
    indices: their positions in the split.
    num_columns: images in a row.
    **options: of `inversion.decode`.

  Returns:
    A `Picture`: rows of images, each above a row of their reconstructions. Its
    arrays are `x`, `image`, `z`, `index`, `reconstruction` and
    `reconstruction_image`; its report has `reconstruction_error_max` and
    `num_images_changed`, the images in which the level of a pixel changed.

  Raises:
    NotConvergedError: if the inverse of an image was not found.
  """
  levels, x, z, condition = _encode(model, split, indices, options)
  decoded = inversion.decode(model, z, condition=condition, **options)
  originals = plots.levels_to_bytes(levels, model.num_levels)
  restored = to_bytes(decoded.x, model.num_levels)
  num_columns = min(len(x), num_columns or _NUM_COLUMNS)
  # The last row is filled with white.
  filled = np.pad(
      np.stack([originals, restored]),
      [(0, 0), (0, -len(x) % num_columns), (0, 0), (0, 0), (0, 0)],
      constant_values=255)
  rows = filled.reshape([2, -1, num_columns, *x.shape[1:]]).swapaxes(0, 1)
  return Picture(rows.reshape([-1, *x.shape[1:]]), num_columns, {
      'x': x, 'image': originals, 'z': z, 'index': np.asarray(indices),
      'reconstruction': decoded.x, 'reconstruction_image': restored}, {
          'num_images': len(x),
          **_errors(levels, x, decoded.x, model.num_levels),
          **decoded.report()})


def interpolations(
    model: models.Flow, split: datasets.Split, indices: Sequence[int], *,
    num_points: int = 10, condition: Any = None, **options: Any) -> Picture:
  """Interpolates between images in latent space, see `spherical_path`.

  Args:
    model: a flow on images of integers.
    indices: positions of the images in the split: start, end, start, end.
    num_points: images of a path, both ends included, at least 2.
    condition: of a flow `p(x|c)`, that of all points.
    **options: of `inversion.decode`.

  Returns:
    A `Picture` with a row for every pair, whose ends are the images
    themselves; its arrays are `x`, `image`, `z` `[P, num_points, ...]` and
    `index` `[P, 2]`. The ends are inverted like the points between them, and
    the report has their errors, see `reconstructions`.

  Raises:
    NotConvergedError: if the inverse of a point was not found.
  """
  errors.check(len(indices) % 2 == 0, 'indices', f'{len(indices)} indices',
               'an even number, two per path')
  errors.check(num_points > 1, 'num_points', num_points, 'a number >= 2',
               'Both ends count.')
  levels, x, z, _ = _encode(model, split, indices, options, condition)
  points = spherical_path(z[::2], z[1::2], num_points)  # [P, T, D]
  decoded = inversion.decode(
      model, points.reshape([-1, points.shape[-1]]).astype(z.dtype),
      condition=condition, **options)
  rows = decoded.x.reshape([*points.shape[:2], *x.shape[1:]])
  report = {
      'num_pairs': len(points), 'num_points': num_points,
      **_errors(levels, x, rows[:, [0, -1]].reshape(x.shape), model.num_levels),
      **decoded.report()}
  rows[:, [0, -1]] = x.reshape([-1, 2, *x.shape[1:]])
  images = to_bytes(rows, model.num_levels)
  return Picture(images.reshape([-1, *x.shape[1:]]), num_points, {
      'x': rows, 'image': images, 'z': decoded.z.reshape(points.shape),
      'index': np.reshape(indices, [-1, 2])}, report)


def _encode(model, split, indices, options, condition=None):
  """Returns levels, centres of their bins, latents and conditions."""
  examples = split.examples_at(indices)
  levels = examples['x']
  condition = batch_map.conditions_for(
      model, examples.get('condition') if condition is None else condition,
      len(levels))
  x = datasets.dequantize(
      levels, np.float32(0.5), model.num_levels).numpy().astype(
          model.compute_dtype)
  batch_size = options.get('batch_size', len(x))
  z = np.concatenate([
      model.encode(part, *given, seed=i * batch_size).numpy()
      for i, (part, *given) in enumerate(batch_map.slices(
          model, x, condition, batch_size))])
  return levels, x, z, condition


def _errors(levels, x, restored, num_levels):
  is_other = _quantize(restored, num_levels) != levels
  return {
      'reconstruction_error_max': float(np.abs(restored - x).max()),
      'num_images_changed': int(np.sum(is_other.any(axis=(1, 2, 3))))}
