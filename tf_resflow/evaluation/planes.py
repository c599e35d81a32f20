"""Pictures of densities in the plane, and what they integrate to."""

from typing import Any, NamedTuple

from matplotlib import figure as figure_lib
from matplotlib.backends import backend_agg
import numpy as np
from numpy import typing as npt

from tf_resflow import errors
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.evaluation import likelihood

_NUM_BINS = 160
_PANEL_SIZE = 3.0
_MAX_ASPECT = 3.0
_DPI = 100


class Box(NamedTuple):
  """Part of the plane: a box around a point.

  Attributes:
    center: `(x, y)`.
    half_widths: half the length of the sides, along x and y.
  """

  center: tuple[float, float]
  half_widths: tuple[float, float]

  @classmethod
  def around(cls, points: npt.ArrayLike, margin: float = 0.1) -> 'Box':
    """Returns the box around all but 2 in 1000 points, a square if that suits.

    Args:
      points: `[N, 2]`.
      margin: share of its half widths that is left free.
    """
    low, high = np.quantile(
        np.asarray(points, np.float64), [0.001, 0.999], axis=0)
    widths = 0.5 * (high - low)
    widths = np.where(widths > 0.0, widths, 1.0)
    # One unit for both axes, unless one of them would be a line then.
    if widths.max() < _MAX_ASPECT * widths.min():
      widths = np.full([2], widths.max())
    return cls(tuple((0.5 * (low + high)).tolist()),
               tuple(((1.0 + margin) * widths).tolist()))

  @property
  def ranges(self) -> list[tuple[float, float]]:
    """The interval of either axis."""
    return [(c - w, c + w) for c, w in zip(
        self.center, self.half_widths, strict=True)]


def density_on_grid(
    model: models.Flow, box: Box, num_points: int = 200,
    batch_size: int = 10_000, condition: Any = None) -> np.ndarray:
  """Returns `p(x)` in the middle of every cell of a grid.

  Log-determinants are exact.

  Args:
    model: a flow on the plane.
    box: what the grid divides.
    num_points: cells of a side.
    batch_size: points at a time.
    condition: of a flow `p(x|c)`, for all points.

  Returns:
    `[num_points, num_points]`, float64; rows are `y`, from low to high.
  """
  errors.check(model.event_shape == (2,), 'model', model.name,
               'a flow on points of the plane',
               f'Its events have the shape {list(model.event_shape)}.')
  axes = [np.linspace(low, high, num_points, endpoint=False) +
          0.5 * (high - low) / num_points for low, high in box.ranges]
  points = np.stack(np.meshgrid(*axes), axis=-1).reshape([-1, 2])
  results = likelihood.evaluate_inputs(
      model, points, batch_size=batch_size, estimator=numerics.Exact(),
      condition=condition)
  return np.exp(results['log_prob']).reshape([num_points, num_points])


def integral(
    model: models.Flow, box: Box, num_points: int = 1000) -> float:
  """Returns the sum of `p(x)` over a grid, times the area of a cell.

  It is 1 for a density of which the box holds all and whose details the
  cells resolve, whatever the flow has learned.

  Args:
    model: a flow on the plane.
    box: see `density_on_grid`.
    num_points: likewise.
  """
  cell = np.prod([2.0 * width / num_points for width in box.half_widths])
  return float(np.sum(density_on_grid(model, box, num_points)) * cell)


def density_picture(
    model: models.Flow, points: npt.ArrayLike | None = None,
    samples: npt.ArrayLike | None = None, seed: int = 0,
    num_samples: int = 20_000, box: Box | None = None,
    condition: Any = None) -> np.ndarray:
  """Draws the data, the density of a flow, and its samples, side by side.

  Args:
    model: a flow on the plane.
    points: `[N, 2]`, the data; None leaves their panel out.
    samples: `[N, 2]`; drawn by default.
    seed: of the draws.
    num_samples: how many.
    box: what is shown; around the data, or the samples, by default.
    condition: of a flow `p(x|c)`.

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
      ('density', density_on_grid(model, box, condition=condition)),
      ('samples', _histogram(samples, box))]
  figure = figure_lib.Figure(
      (_PANEL_SIZE * len(panels), _PANEL_SIZE + 0.3), dpi=_DPI,
      layout='constrained')
  canvas = backend_agg.FigureCanvasAgg(figure)
  for axis, (title, values) in zip(
      figure.subplots(1, len(panels)), panels, strict=True):
    (left, right), (low, high) = box.ranges
    axis.imshow(
        values, origin='lower', extent=(left, right, low, high), cmap='viridis',
        aspect='auto')
    axis.set(title=title, xticks=[], yticks=[])
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _histogram(points, box):
  """Returns the numbers of points per cell, rows are `y`."""
  return np.histogram2d(
      *np.transpose(points), bins=_NUM_BINS, range=box.ranges)[0].T
