"""Densities of single columns given all others, of rows under a flow."""

from collections.abc import Sequence
import dataclasses
import itertools
import time
from typing import Any, NamedTuple

import numpy as np

from tf_resflow import models
from tf_resflow.columns import column_types
from tf_resflow.columns import mapping
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import likelihood
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.numerics import random

# Samples of the flow that say where a grid has to be, given each condition.
_NUM_SAMPLES = 1000
# Standard deviations that a grid covers, and its nodes there.
_RANGE, _NUM_NODES = 8.0, 49
# Nodes that each refinement adds, and the most refinements.
_NUM_ADDED, _MAX_ROUNDS = 32, 12
# Largest difference of two successive normalisers, nats.
_TOLERANCE = 1e-3
# Grids of more values are integrated by some of their cells.
_MAX_VALUES = 256


@dataclasses.dataclass(frozen=True, eq=False)
class Conditional:
  """The distribution of one column given the others of a row.

  Its density is that of the mapped number `y = f(x)`, where `f` is the type of
  the column, and log-linear between nodes; values of a grid that are enumerated
  have probabilities instead.

  Attributes:
    column_type: of the column.
    y: nodes, ascending `[n]`; the middles of cells in columns that are grids.
    log_density: at the nodes, log p(row with this value) of the row in mapped
      coordinates, nats, `[n]`: it is not normalised.
    place: of the value of the row among the nodes.
    is_enumerated: whether the nodes are all values with some probability.
    is_normalised: whether two successive normalisers differ by less than 1e-3.
  """

  column_type: column_types.ColumnType
  y: np.ndarray
  log_density: np.ndarray
  place: int
  is_enumerated: bool
  is_normalised: bool = False

  @property
  def log_norm(self) -> float:
    """The log of the integral, or sum, over the nodes."""
    with np.errstate(divide='ignore'):
      return float(self.log_density.max() + np.log(self._masses().sum()))

  @property
  def log_prob(self) -> float:
    """The log of the density, or probability, of the value of the row."""
    return float(self.log_density[self.place]) - self.log_norm

  @property
  def gain(self) -> float:
    """How much the likeliest value raises the log-density of the row, nats."""
    return float(self.log_density.max() - self.log_density[self.place])

  @property
  def mode(self) -> float:
    """The likeliest value, in units of the column."""
    return float(values_at(
        self.column_type, self.y[self.log_density.argmax()]))

  def tail(self) -> float:
    """Returns the probability of values that are at most as dense."""
    # Rounding must not leave the value itself out.
    return self._share_below(self.log_density[self.place] + 1e-9)

  def interval(self, level: float) -> list[tuple[float, float]]:
    """Returns the shortest set with a probability of `level`.

    Returns:
      The ends of its intervals, in units of the column, both included.
    """
    if self.is_enumerated:
      order = np.argsort(-self.log_density, kind='stable')
      share = np.cumsum(self._masses()[order])
      inside = np.zeros(len(order), bool)
      inside[order[:np.searchsorted(share, level * share[-1]) + 1]] = True
      starts = np.flatnonzero(inside & ~np.r_[False, inside[:-1]])
      ends = np.flatnonzero(inside & ~np.r_[inside[1:], False])
      ends_in_y = zip(self.y[starts], self.y[ends], strict=True)
    else:
      low, high = self.log_density.max() - 700.0, self.log_density.max()
      for _ in range(60):
        middle = (low + high) / 2
        if self._share_below(middle) < 1.0 - level:
          low = middle
        else:
          high = middle
      ends_in_y = self._intervals_above(low)
    return [(float(low), float(high)) for low, high in (
        values_at(self.column_type, np.array(pair)) for pair in ends_in_y)]

  def importance(self) -> np.ndarray:
    """Returns the shares of the intervals in the integral at most, `[n - 1]`.
    """
    f = np.exp(self.log_density - self.log_density.max())
    shares = np.diff(self.y) * np.maximum(f[:-1], f[1:])
    return shares / shares.sum()

  def _masses(self):
    """Masses of the intervals, or values, over the largest density."""
    log_f = self.log_density - self.log_density.max()
    return np.exp(log_f) if self.is_enumerated else _integral(
        np.diff(self.y), log_f[:-1], log_f[1:])

  def _share_below(self, level):
    """The share of what has a log-density of at most `level`."""
    log_f, masses = self.log_density, self._masses()
    if self.is_enumerated:
      return float(masses[log_f <= level].sum() / masses.sum())
    a, b, width = log_f[:-1], log_f[1:], np.diff(self.y)
    low, high = np.minimum(a, b), np.maximum(a, b)
    with np.errstate(invalid='ignore', divide='ignore'):
      part = np.where(high > low, np.clip(
          (level - low) / (high - low), 0.0, 1.0), low <= level)
    part = np.nan_to_num(part)
    below = _integral(part * width, low - log_f.max(),
                      np.minimum(high, level) - log_f.max())
    return float(np.where(part > 0.0, below, 0.0).sum() / masses.sum())

  def _intervals_above(self, level):
    """Yields the ends of intervals with a log-density above `level`."""
    above = self.log_density > level
    y, log_f = self.y, np.maximum(self.log_density, level - 700.0)

    def crossing(i):
      share = (level - log_f[i]) / (log_f[i + 1] - log_f[i])
      return y[i] + share * (y[i + 1] - y[i])

    starts = np.flatnonzero(above & ~np.r_[False, above[:-1]])
    ends = np.flatnonzero(above & ~np.r_[above[1:], False])
    for start, end in zip(starts, ends, strict=True):
      yield (crossing(start - 1) if start else y[0],
             crossing(end) if end + 1 < len(y) else y[-1])


def values_at(column_type: column_types.ColumnType, y: Any) -> Any:
  """Returns values of a column, in its units, at mapped numbers."""
  x = column_type.inside(np.float64(y), np)
  return column_type.values(np.floor(x) if column_type.is_integer else x)


def _integral(width, a, b):
  """The integral of `exp` of a linear function from `a` to `b`."""
  difference = np.abs(b - a)
  with np.errstate(invalid='ignore', divide='ignore'):
    slope = -np.expm1(-difference) / difference
  return width * np.exp(np.maximum(a, b)) * np.where(
      difference < 1e-6, 1.0, np.where(np.isfinite(difference), slope, 0.5))


class Reference(NamedTuple):
  """Samples of a flow given one condition.

  Attributes:
    condition: that, or None.
    x: samples `[S, D]`.
    log_prob: their log p(x), `[S]`, nats.
  """

  condition: Any
  x: np.ndarray
  log_prob: np.ndarray


class Conditionals:
  """Conditional distributions of columns under a flow, by its exact log p.

  For each row and column the density of the row with other values is
  normalised by quadrature in mapped coordinates: at the value itself, at
  quantiles of samples of the flow, and up to eight standard deviations from the
  mean that a Gaussian, fitted to these, has given the other columns. Intervals
  with the largest masses are halved until the normaliser changes by less than
  1e-3. Grids of up to 256 values are enumerated.

  Args:
    model: a flow of vectors, whose log-determinants are exact.
    settings: see `EvaluationSettings`.
  """

  def __init__(self, model: models.Flow, **settings: Any):
    used = dataclasses.replace(settings_lib.EvaluationSettings.of(
        model, **settings), num_repeats=1)
    self._model = model
    self._types = mapping.of_specs(
        model.schema.types, np.empty([0, model.event_shape[0]]))
    self._settings = used
    self._log_probs = likelihood.LogProbs(
        batch_map.frozen(model, used.strategy), used)

  def log_probs(self, x: np.ndarray, condition: Any = None) -> np.ndarray:
    """Returns log p(x), `[N]`; minus infinity for values without a density."""
    batches = batch_map.slices(
        self._model, np.asarray(x, self._model.input_dtype), condition,
        self._settings.batch_size)
    found = self._log_probs(lambda repeat: batches, len(x)).mean(axis=0)
    return np.nan_to_num(found, nan=-np.inf, posinf=np.inf, neginf=-np.inf)

  def seconds(self, x: np.ndarray, condition: Any = None) -> float:
    """Returns about how long the distributions of all columns of a row take."""
    rows = np.tile(x, [len(x) * (_NUM_NODES + 2 * _NUM_ADDED), 1])
    for _ in range(2):  # The first may trace.
      start = time.monotonic()
      self.log_probs(rows, condition)
    return time.monotonic() - start

  def reference(self, condition: Any = None) -> Reference:
    """Returns samples of the flow given one condition."""
    x = np.float64(self._model.sample(
        _NUM_SAMPLES, condition,
        seed=random.fold_in(self._settings.seed, 1).values))
    return Reference(condition, x, self.log_probs(x, condition))

  def __call__(
      self, x: np.ndarray, columns: Sequence[int], reference: Reference,
      max_rounds: int = _MAX_ROUNDS) -> list[Conditional]:
    """Returns the conditional distributions of columns of one row.

    Args:
      x: `[D]`.
      columns: their places.
      reference: samples given the condition of the row.
      max_rounds: the most refinements.
    """
    condition, samples = reference.condition, reference.x
    y = np.array([self._mapped(i, x[i]) for i in range(len(x))])
    y_samples = np.stack([
        self._mapped(i, samples[:, i]) for i in range(len(x))], axis=1)
    means, stds = _gaussian_conditionals(y, y_samples)
    nodes = [self._first_nodes(i, x[i], np.r_[
        y[i], np.quantile(y_samples[:, i], np.linspace(0.0, 1.0, 33)),
        means[i] + stds[i] * _RANGE * np.linspace(-1.0, 1.0, _NUM_NODES)])
             for i in columns]
    found = [
        Conditional(self._types[i], grid, log_density,
                    int(np.searchsorted(grid, self._node(i, y[i]))),
                    is_enumerated)
        for i, (grid, is_enumerated), log_density in zip(
            columns, nodes, self._log_densities(x, columns, nodes, condition),
            strict=True)]
    for _ in range(max_rounds):
      todo = [k for k, one in enumerate(found) if not one.is_normalised]
      if not todo:
        break
      added = [self._added(columns[k], found[k]) for k in todo]
      log_densities = self._log_densities(
          x, [columns[k] for k in todo], added, condition)
      for k, (y, _), log_density in zip(
          todo, added, log_densities, strict=True):
        found[k] = self._refined(found[k], y, log_density)
    return found

  def _mapped(self, i, values):
    t = self._types[i]
    return t.forward(t.units(np.float64(values), np) + 0.5 * t.is_integer, np)

  def _node(self, i, y):
    """The node of a mapped number: the middle of its cell, or itself."""
    return self._mapped(i, values_at(
        self._types[i], y)) if self._types[i].is_integer else y

  def _first_nodes(self, i, value, y):
    """Nodes, and whether they are all values between the first and the last."""
    t = self._types[i]
    if not t.is_integer:
      return np.unique(y), False
    k = np.unique(t.units(np.r_[value, values_at(t, y)], np))
    is_enumerated = k[-1] - k[0] < _MAX_VALUES
    if is_enumerated:
      k = np.arange(k[0], k[-1] + 1)
    return t.forward(k + 0.5, np), is_enumerated

  def _added(self, i, one):
    """Nodes in the middle of the intervals with the largest masses."""
    if one.is_enumerated:
      return np.empty([0]), True
    chosen = np.argsort(-one.importance())[:_NUM_ADDED]
    y = self._node(i, (one.y[chosen] + one.y[chosen + 1]) / 2)
    return np.setdiff1d(y, one.y), False

  def _refined(self, one, y, log_density):
    """The distribution with further nodes."""
    if not len(y):
      return dataclasses.replace(one, is_normalised=True)
    order = np.argsort(np.r_[one.y, y])
    finer = dataclasses.replace(
        one, y=np.r_[one.y, y][order],
        log_density=np.r_[one.log_density, log_density][order],
        place=int(np.searchsorted(np.sort(np.r_[one.y, y]), one.y[one.place])))
    return dataclasses.replace(
        finer, is_normalised=abs(finer.log_norm - one.log_norm) < _TOLERANCE)

  def _log_densities(self, x, columns, nodes, condition):
    """Log-densities of the row with other values, for each column's nodes."""
    sizes = [len(y) for y, _ in nodes]
    rows, slopes = np.tile(x, [sum(sizes), 1]), np.zeros(sum(sizes))
    for i, (y, is_enumerated), end in zip(
        columns, nodes, itertools.accumulate(sizes), strict=True):
      part, t = slice(end - len(y), end), self._types[i]
      rows[part, i] = values_at(t, y)
      if not is_enumerated:
        slopes[part] = t.log_slope(y, np) - np.log(t.step)
    return np.split(
        self.log_probs(rows, condition) - slopes if len(rows) else slopes,
        np.cumsum(sizes)[:-1])


def _gaussian_conditionals(y, samples):
  """Means and deviations of each column given the others of a Gaussian."""
  mean, std = samples.mean(axis=0), samples.std(axis=0)
  z = (samples - mean) / std
  precision = np.linalg.inv(
      z.T @ z / len(z) + 1e-9 * np.eye(len(y)))
  variance = 1.0 / np.diag(precision)
  now = (y - mean) / std
  means = now - variance * (precision @ now)
  return mean + std * means, std * np.sqrt(variance)
