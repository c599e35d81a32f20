"""Rows in the coordinates of their types of columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_resflow.columns import column_types

# Rows that a message names.
_NUM_NAMED = 3


def cell_points(num_columns: int, num_points: int = 16) -> np.ndarray:
  """Returns points of the unit cube, `[num_points, num_columns]`.

  In every column they are the midpoints of `num_points` equal intervals, in an
  order of its own: a Latin hypercube, always the same.
  """
  middles = (np.arange(num_points) + 0.5) / num_points
  orders = [np.random.RandomState(i).permutation(num_points) if i else
            np.arange(num_points) for i in range(num_columns)]
  return np.stack([middles[order] for order in orders], axis=1)


def with_density(
    specs: Sequence[str], x: np.ndarray, names: Sequence[str] = (),
    index: Any = None, on_grids: bool = False) -> tuple[np.ndarray, str]:
  """Returns which rows have values that their columns can take, bool `[N]`.

  What counts is the number that float32 has.

  Args:
    specs: of the types of the columns.
    x: `[N, D]`; NaN is any value.
    names: of the columns, if they have some.
    index: of the table of the rows, by default they count from 1.
    on_grids: whether to return which rows have multiples of the step in all
      columns that are grids instead.

  Returns:
    Them, and a description of the first other values, empty if there are none.

  Example:
    >>> with_density(['logit'], np.array([[0.5], [1 - 1e-9]]), ['p'])[1]
    'p is not strictly between 0 and 1 in row 2 (0.999999999)'
  """
  types = of_specs(specs, x)
  is_right = np.isnan(x) | np.stack([
      t.is_on(column) if on_grids else
      t.supports(np.float32(t.units(column, np) + 0.5 * t.is_integer))
      for t, column in zip(
          types, column_types.rounded(x).T, strict=True)], axis=1)
  noun, numbers = ('row', range(1, len(x) + 1)) if index is None else (
      index.name, index)
  places = []
  for i in np.flatnonzero(~is_right.all(axis=0)):
    rows = np.flatnonzero(~is_right[:, i])
    shown = [f'{noun} {numbers[row]} ({x[row, i]:.15g})'
             for row in rows[:_NUM_NAMED]] + ['...'] * (len(rows) > _NUM_NAMED)
    places.append(f'{names[i] if names else f"x{i}"} is not '
                  f'{types[i].expected} in {", ".join(shown)}')
  return is_right.all(axis=1), '; '.join(places)


def one_per_cell(y: np.ndarray) -> np.ndarray:
  """Returns one point of each cell of `mapped` in turn, `[N, D]`."""
  rows = np.arange(len(y))
  return y if y.ndim < 3 else y[rows, rows % y.shape[1]]


def of_specs(specs: Sequence[str], x: Any) -> list[column_types.ColumnType]:
  """Returns the types of the columns of `x`, `[N, D]`, see `mapped`."""
  return [column_types.ColumnType.get(spec)
          for spec in specs or ['real'] * np.shape(x)[-1]]


def _with_cells(types, x, noise=None):
  """Returns rows `[N, D]` in steps of their columns, with `[N, K, D]` of cells.

  With noise, `[N, D]`, only this point of each cell.
  """
  x = np.stack([t.units(column, np) for t, column in zip(
      types, np.asarray(x, np.float64).T, strict=True)], axis=1)
  whole = [i for i, column_type in enumerate(types) if column_type.is_integer]
  if not whole:
    return x
  if noise is not None:
    return x + noise * np.isin(np.arange(x.shape[1]), whole)
  points = cell_points(len(whole))
  u = np.zeros([len(points), x.shape[1]])
  u[:, whole] = points
  return x[:, np.newaxis] + u


def dequantized(specs: Sequence[str], x: Any, noise: Any = None) -> np.ndarray:
  """Returns rows `[N, D]` in float64, with grids points of their cells.

  In the columns that are grids these are `(k + u) step`, with the noise `u` or,
  `[N, K, D]`, the `cell_points`; see `mapped`.
  """
  types = of_specs(specs, x)
  return _with_cells(types, x, noise) * [t.step for t in types]


def mapped(specs: Sequence[str], x: Any, noise: Any = None,
           ) -> tuple[np.ndarray, np.ndarray]:
  """Maps rows to real numbers.

  Args:
    specs: of the types of the columns; none if all are real.
    x: `[N, D]`, values that the types support.
    noise: `[N, D]` in [0, 1), a point of the cell of each row, of which the
      columns that are grids are used; by default cells have 16 fixed points.

  Returns:
    `y` `[N, D]` and `log|det dy/dx|` `[N]`, nats, both float64; with columns
    that are grids of the points of each row's cell, `[N, K, D]` and `[N, K]`,
    unless `noise` is given.
  """
  types = of_specs(specs, x)
  x = _with_cells(types, x, noise)
  y = [t.forward(column, np)
       for t, column in zip(types, np.moveaxis(x, -1, 0), strict=True)]
  return np.stack(y, axis=-1), sum(
      t.log_slope(column, np) - np.log(t.step)
      for t, column in zip(types, y, strict=True))
