"""Figures: image grids, 2-D densities (and their integrals), and ranks."""

from collections.abc import Callable, Mapping, Sequence
import math
import os
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.evaluation import statistics

# Cells of a grid are enlarged until they measure about this many pixels.
_TARGET_CELL_SIZE = 64
_BACKGROUND = 255
# Settings of figures of densities.
_NUM_BINS = 160
_PANEL_SIZE = 3.0
_MAX_ASPECT = 3.0
_MAX_COLUMNS, _MAX_POINTS = 8, 2000


def image_grid(
    images: npt.ArrayLike, num_columns: int | None = None) -> np.ndarray:
  """Arranges images in rows, left to right, on a white background.

  There is a pixel of it around every image. All is enlarged by the smallest
  integer factor that brings the longer side of an image to 64 pixels.

  Floats become bytes by min(floor(256 x), 255), which gives back X from
  X / 255 and from the dequantised (X + U) / 256 alike. Integer images with
  fewer than 256 levels must be scaled first, see `levels_to_bytes`.

  Args:
    images: [N, H, W, C], uint8 in 0..255 or floats in [0, 1]; C is 1 or 3.
    num_columns: images per row, at most all; by default the smallest square.

  Returns:
    uint8 [scale * (rows * (H + 1) + 1), scale * (columns * (W + 1) + 1), C].

  Example:
    >>> image_grid(np.zeros([10, 8, 8, 1], np.uint8)).shape
    (224, 296, 1)
  """
  images = _to_bytes(images)
  num_images, height, width, num_channels = images.shape
  if num_columns is None:
    num_columns = math.ceil(math.sqrt(num_images))
  errors.check(num_columns >= 1, 'num_columns', num_columns, 'a number >= 1')
  num_columns = min(num_columns, num_images)
  # Every cell has its padding above and on the left; empty ones are white.
  cells = np.pad(
      images, [(0, -num_images % num_columns), (1, 0), (1, 0), (0, 0)],
      constant_values=_BACKGROUND)
  rows = cells.reshape([-1, num_columns, *cells.shape[1:]]).swapaxes(1, 2)
  grid = np.pad(
      rows.reshape([-1, num_columns * cells.shape[2], num_channels]),
      [(0, 1), (0, 1), (0, 0)], constant_values=_BACKGROUND)
  scale = math.ceil(_TARGET_CELL_SIZE / max(height, width))
  return grid.repeat(scale, axis=0).repeat(scale, axis=1)


def levels_to_bytes(levels: npt.ArrayLike, num_levels: Any) -> np.ndarray:
  """Scales integer images to bytes: round(255 X / (num_levels - 1)).

  Args:
    levels: integers X in 0..num_levels-1, any shape.
    num_levels: 2..256.

  Example:
    >>> levels_to_bytes(np.array([0, 8, 16]), 17).tolist()
    [0, 128, 255]
  """
  levels = np.asarray(levels)
  low, high = levels.min(), levels.max()
  errors.check(0 <= low and high < num_levels, 'levels', f'{low}..{high}',
               f'numbers from 0 to {num_levels - 1}')
  # Halves are rounded up.
  return np.floor(255.0 * levels / (num_levels - 1) + 0.5).astype(np.uint8)


def save_image(path: str | os.PathLike, image: np.ndarray) -> None:
  """Writes an image, uint8 [H, W, 1 or 3], as a PNG file; makes its folder."""
  errors.check(os.fspath(path).lower().endswith('.png'), 'path', path,
               'a name that ends in .png')
  tf.io.write_file(os.fspath(path), tf.io.encode_png(image))


def save_image_grid(
    path: str | os.PathLike, images: npt.ArrayLike,
    num_columns: int | None = None) -> None:
  """Writes the `image_grid` of a batch as one PNG file, see `save_image`.

  Example:
    >>> save_image_grid('grid.png', np.zeros([4, 8, 8, 1]), num_columns=2)
  """
  save_image(path, image_grid(images, num_columns))


def _to_bytes(images):
  """Returns images as uint8 [N, H, W, C]."""
  images = np.asarray(images)
  errors.check(
      images.ndim == 4 and images.size > 0 and images.shape[-1] in (1, 3),
      'images', f'an array {images.shape}',
      'a batch [N, H, W, 1 or 3], not empty')
  if images.dtype == np.uint8:
    return images
  low, high = images.min(), images.max()  # NaN if there is one.
  errors.check(
      np.issubdtype(images.dtype, np.floating) and 0.0 <= low and high <= 1.0,
      'images', f'{images.dtype} in [{low}, {high}]',
      'uint8 in 0..255 or floats in [0, 1]',
      'Scale them, or clip samples with np.clip(images, 0, 1).')
  # float64, so that 256 x is exact for every float32 x.
  return np.minimum(np.floor(images.astype(np.float64) * 256.0),
                    255.0).astype(np.uint8)


class Box(NamedTuple):
  """A rectangle around a point in two dimensions.

  Attributes:
    center: `(x, y)`.
    half_widths: half the length of the sides, along x and y.
  """

  center: tuple[float, float]
  half_widths: tuple[float, float]

  @classmethod
  def around(cls, points: npt.ArrayLike, margin: float = 0.1) -> 'Box':
    """Returns the box of all but 2 in 1000 points, a square if not elongated.

    Args:
      points: `[N, 2]`.
      margin: free margin, as a share of the half widths.
    """
    low, high = np.quantile(
        np.asarray(points, np.float64), [0.001, 0.999], axis=0)
    widths = 0.5 * (high - low)
    widths = np.where(widths > 0.0, widths, 1.0)
    # Equal scales for both axes, unless one axis would be very short.
    if widths.max() < _MAX_ASPECT * widths.min():
      widths = np.full([2], widths.max())
    return cls(tuple((0.5 * (low + high)).tolist()),
               tuple(((1.0 + margin) * widths).tolist()))

  @property
  def ranges(self) -> list[tuple[float, float]]:
    """The interval of either axis."""
    return [(c - w, c + w) for c, w in zip(
        self.center, self.half_widths, strict=True)]


def traced_log_prob(
    model: models.Flow, condition: Any = None
) -> Callable[[np.ndarray], np.ndarray]:
  """Returns a function of points `[N, D]`, with one graph: exact `log p(x)`."""
  settings = settings_lib.EvaluationSettings.of(
      model, estimator=numerics.Exact(), num_repeats=1)
  log_probs = likelihood.LogProbs(model, settings, is_repeated=True)
  return lambda x: log_probs.of_arrays(x, condition)


def density_on_grid(
    model: models.Flow, box: Box, num_points: int = 200, condition: Any = None,
    log_prob_fn: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
  """Returns the exact `p(x)` at the centre of every cell of a grid.

  Args:
    model: a 2-D flow.
    box: area of the grid.
    num_points: cells per side.
    condition: of a flow `p(x|c)`, for all points.
    log_prob_fn: of `traced_log_prob`; by default a new graph is traced, of
      which TensorFlow never frees all of the memory.

  Returns:
    `[num_points, num_points]`, float64; rows are `y`, from low to high.
  """
  errors.check(model.event_shape == (2,), 'model', model.name, 'a 2-D flow',
               f'Its events have the shape {list(model.event_shape)}.')
  axes = [np.linspace(low, high, num_points, endpoint=False) +
          0.5 * (high - low) / num_points for low, high in box.ranges]
  points = np.stack(np.meshgrid(*axes), axis=-1).reshape([-1, 2])
  log_prob_fn = log_prob_fn or traced_log_prob(model.frozen(), condition)
  return np.exp(log_prob_fn(points)).reshape([num_points, num_points])


def integral(model: models.Flow, box: Box, num_points: int = 1000) -> float:
  """Integrates `p(x)` over a box: the sum over a grid, times the cell area.

  The result is 1, whatever the flow has learned, if the box holds all of the
  mass and the cells resolve the details of the density.

  Args:
    model, box, num_points: see `density_on_grid`.
  """
  cell = np.prod([2.0 * width / num_points for width in box.half_widths])
  return float(np.sum(density_on_grid(model, box, num_points)) * cell)


def density_picture(
    model: models.Flow, points: npt.ArrayLike | None = None,
    samples: npt.ArrayLike | None = None, seed: int = 0,
    num_samples: int = 20_000, box: Box | None = None,
    condition: Any = None,
    log_prob_fn: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
  """Draws the data, the density of a flow, and its samples, side by side.

  Args:
    model: a 2-D flow.
    points: `[N, 2]`, the data; None leaves their panel out.
    samples: `[N, 2]`; by default `num_samples` are drawn with the seed.
    box: area to show; around the data, or the samples, by default.
    condition, log_prob_fn: see `density_on_grid`.

  Returns:
    uint8 `[height, width, 3]`.

  References:
    Chen et al., 2019, the released code of Residual Flows (`train_toy`).
  """
  if samples is None:
    samples = model.sample(num_samples, condition, seed=seed).numpy()
  box = box or Box.around(samples if points is None else points)
  panels = [] if points is None else [('data', _histogram(points, box))]
  panels += [
      ('density', density_on_grid(
          model, box, condition=condition, log_prob_fn=log_prob_fn)),
      ('samples', _histogram(samples, box))]
  figure = new_figure(_PANEL_SIZE * len(panels), _PANEL_SIZE + 0.3, dpi=100)
  for axis, (title, values) in zip(
      figure.subplots(1, len(panels)), panels, strict=True):
    (left, right), (low, high) = box.ranges
    axis.imshow(
        values, origin='lower', extent=(left, right, low, high), cmap='viridis',
        aspect='auto')
    axis.set_title(title)
  return rendered(figure)


def new_figure(width: float, height: float, dpi: float | None = None) -> Any:
  """Returns an empty figure of matplotlib, which places its parts by itself.

  Args:
    width, height: in inches.
    dpi: dots per inch, by default those of matplotlib's settings.
  """
  from matplotlib import figure as figure_lib  # Takes a second.
  return figure_lib.Figure((width, height), dpi=dpi, layout='constrained')


def rendered(figure: Any) -> np.ndarray:
  """Returns a figure of matplotlib as an image, uint8 `[height, width, 3]`."""
  from matplotlib.backends import backend_agg
  canvas = backend_agg.FigureCanvasAgg(figure)
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _histogram(points, box):
  """Returns the number of points in every cell; rows are `y`."""
  return np.histogram2d(
      *np.asarray(points).T, bins=_NUM_BINS, range=box.ranges)[0].T


def pair_plot(
    names: Sequence[str], parts: Mapping[str, npt.ArrayLike]) -> Any:
  """Plots columns against each other, and their histograms on the diagonal.

  Args:
    names: of the columns, of which the first 8 are shown.
    parts: from what rows are called, such as data and samples, to `[N, D]`, of
      which 2,000 rows are shown as points.

  Returns:
    A `matplotlib.figure.Figure`.
  """
  size = min(len(names), _MAX_COLUMNS)
  figure = new_figure(1.6 * size + 1.0, 1.6 * size + 1.0, dpi=100)
  axes = figure.subplots(size, size, squeeze=False, sharex='col')
  rows = {name: np.asarray(x, np.float64) for name, x in parts.items()}
  edges = [np.histogram_bin_edges(column, _NUM_BINS // 4)
           for column in np.concatenate([*rows.values()]).T]
  for (i, j), axis in np.ndenumerate(axes):
    if j > i:
      axis.remove()
      continue
    for name, x in rows.items():
      if i == j:
        axis.hist(x[:, i], edges[i], density=True, histtype='step', label=name)
      else:
        axis.plot(*x[:_MAX_POINTS, [j, i]].T, '.', markersize=2, alpha=0.5)
    axis.tick_params(labelsize='x-small')
    axis.set(xlabel=names[j] if i == size - 1 else '',
             ylabel=names[i] if j == 0 < i else '')
  axes[0, 0].legend(fontsize='x-small')
  for text in figure.findobj(lambda artist: hasattr(artist, 'set_parse_math')):
    text.set_parse_math(False)  # A name may hold "$".
  return figure


def ranks_figure(
    named_ranks: Mapping[str, npt.ArrayLike], band: statistics.Band) -> Any:
  """Plots the difference of rank ECDFs from a uniform one, with a band.

  Args:
    named_ranks: from names to ranks `[N]`.
    band: of `statistics.simultaneous_band`.

  Returns:
    A `matplotlib.figure.Figure`.
  """
  figure = new_figure(5.0, 3.2, dpi=120)
  axes = figure.subplots()
  axes.fill_between(
      band.points, band.low - band.points, band.high - band.points,
      color='0.85', label=f'{band.level:.0%} of uniform ranks')
  for name, values in named_ranks.items():
    axes.plot(band.points, band.shares(values) - band.points, label=name)
  axes.set(xlabel='rank / (L + 1)', ylabel='ECDF difference')
  axes.legend(fontsize='small')
  return figure
