"""Pictures of densities in the plane, and what they integrate to."""

from typing import NamedTuple

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
_DPI = 100


class Square(NamedTuple):
  """Part of the plane: a square around a point.

  Attributes:
    center: `(x, y)`.
    half_width: half the length of a side.
  """

  center: tuple[float, float]
  half_width: float

  @classmethod
  def around(cls, points: npt.ArrayLike, margin: float = 0.1) -> 'Square':
    """Returns the square around all but 2 in 1000 points.

    Args:
      points: `[N, 2]`.
      margin: share of its half width that is left free.
    """
    low, high = np.quantile(np.asarray(points), [0.001, 0.999], axis=0)
    return cls(tuple((0.5 * (low + high)).tolist()),
               float((1.0 + margin) * 0.5 * np.max(high - low)) or 1.0)

  @property
  def ranges(self) -> list[tuple[float, float]]:
    """The interval of either axis."""
    return [(c - self.half_width, c + self.half_width) for c in self.center]


def density_on_grid(
    model: models.Flow, square: Square, num_points: int = 200,
    batch_size: int = 10_000) -> np.ndarray:
  """Returns `p(x)` in the middle of every cell of a grid.

  Log-determinants are exact.

  Args:
    model: a flow on the plane.
    square: what the grid divides.
    num_points: cells of a side.
    batch_size: points at a time.

  Returns:
    `[num_points, num_points]`, float64; rows are `y`, from low to high.
  """
  errors.check(model.event_shape == (2,), 'model', model.name,
               'a flow on points of the plane',
               f'Its events have the shape {list(model.event_shape)}.')
  axes = [np.linspace(low, high, num_points, endpoint=False) +
          square.half_width / num_points for low, high in square.ranges]
  points = np.stack(np.meshgrid(*axes), axis=-1).reshape([-1, 2])
  results = likelihood.evaluate_inputs(
      model, points, batch_size=batch_size, estimator=numerics.Exact())
  return np.exp(results['log_prob']).reshape([num_points, num_points])


def integral(
    model: models.Flow, square: Square, num_points: int = 1000) -> float:
  """Returns the sum of `p(x)` over a grid, times the area of a cell.

  It is 1 for a density of which the square holds all and whose details the
  cells resolve, whatever the flow has learned.

  Args:
    model: a flow on the plane.
    square: see `density_on_grid`.
    num_points: likewise.
  """
  cell = (2.0 * square.half_width / num_points)**2
  return float(np.sum(density_on_grid(model, square, num_points)) * cell)


def density_picture(
    model: models.Flow, points: npt.ArrayLike | None = None,
    samples: npt.ArrayLike | None = None, seed: int = 0,
    num_samples: int = 20_000, square: Square | None = None) -> np.ndarray:
  """Draws the data, the density of a flow, and its samples, side by side.

  Args:
    model: a flow on the plane.
    points: `[N, 2]`, the data; None leaves their panel out.
    samples: `[N, 2]`; drawn by default.
    seed: of the draws.
    num_samples: how many.
    square: what is shown; around the data, or the samples, by default.

  Returns:
    uint8 `[height, width, 3]`.

  References:
    Chen et al., 2019, the released code of Residual Flows (`train_toy`).
  """
  if samples is None:
    samples = model.sample(num_samples, seed).numpy()
  square = square or Square.around(samples if points is None else points)
  panels = [] if points is None else [('data', _histogram(points, square))]
  panels += [
      ('density', density_on_grid(model, square)),
      ('samples', _histogram(samples, square))]
  figure = figure_lib.Figure(
      (_PANEL_SIZE * len(panels), _PANEL_SIZE + 0.3), dpi=_DPI,
      layout='constrained')
  canvas = backend_agg.FigureCanvasAgg(figure)
  for axis, (title, values) in zip(
      figure.subplots(1, len(panels)), panels, strict=True):
    (left, right), (low, high) = square.ranges
    axis.imshow(
        values, origin='lower', extent=(left, right, low, high), cmap='viridis')
    axis.set(title=title, xticks=[], yticks=[])
  canvas.draw()
  return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _histogram(points: npt.ArrayLike, square: Square) -> np.ndarray:
  """Returns the numbers of points per cell, rows are `y`."""
  points = np.asarray(points)
  counts, _, _ = np.histogram2d(
      points[:, 0], points[:, 1], bins=_NUM_BINS, range=square.ranges)
  return counts.T
