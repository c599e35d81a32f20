"""Densities of single columns given all others, of rows under a flow."""

from collections.abc import Sequence
import dataclasses
import functools
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
# Standard deviations that the first nodes cover, and their number.
_RANGE, _NUM_NODES = 8.0, 49
# Whole numbers are all nodes, if these are few.
_MAX_VALUES = 256
# Cells between two nodes of other numbers.
_NUM_CELLS = 64
# Nodes that each refinement adds inside and at an end, and the most of them.
_NUM_ADDED, _NUM_OUTSIDE, _MAX_ROUNDS = 32, 8, 16
# Largest difference of two successive normalisers; log-densities of both ends
# below the largest one, nats.
_TOLERANCE, _DEPTH = 1e-3, 20.0


@dataclasses.dataclass(frozen=True, eq=False)
class Conditional:
  """The distribution of one column given the others of a row.

  The density of a number is that of the mapped `y = f(x)`, where `f` is the
  type of the column, and log-linear between nodes. Whole numbers, and other
  grids, have probabilities.

  Attributes:
    column_type: of the column.
    nodes: numbers `y`, or the `k` of a grid, ascending `[n]`.
    log_density: log p of the row with this value, of the row in mapped
      coordinates, nats, `[n]`: it is not normalised.
    own: that of the row itself, with the value that it has.
    limits: of the support, in the units of the nodes.
    is_normalised: whether two successive normalisers differ by less than 1e-3,
      and both ends are less dense by 20 nats, or ends of the support.
  """

  column_type: column_types.ColumnType
  nodes: np.ndarray
  log_density: np.ndarray
  own: float
  limits: tuple[float, float]
  is_normalised: bool = False

  @property
  def log_norm(self) -> float:
    """The log of the integral, or sum."""
    return float(self.log_density.max() + np.log(self._cells[1].sum()))

  @property
  def gain(self) -> float:
    """How much the likeliest value raises the log-density of the row, nats."""
    return float(self.log_density.max() - self.own)

  @property
  def mode(self) -> float:
    """The likeliest value, in units of the column."""
    return float(values_at(
        self.column_type, self.nodes[self.log_density.argmax()]))

  def tail(self) -> float:
    """Returns the probability of values that are at most as dense."""
    log_density, masses, _ = self._cells
    # Rounding must not leave the value itself out.
    return float(
        masses[log_density <= self.own + 1e-9].sum() / masses.sum())

  def interval(self, level: float) -> list[tuple[float, float]]:
    """Returns the shortest set with a probability of `level`.

    Returns:
      The ends of its intervals, in units of the column, both included.
    """
    log_density, masses, ends = self._cells
    order = np.argsort(-log_density, kind='stable')
    shares = np.cumsum(masses[order]) / masses.sum()
    least = log_density[order[np.searchsorted(shares[:-1], level)]]
    steps = np.diff(np.r_[0, log_density >= least, 0])
    first, last = np.flatnonzero(steps > 0), np.flatnonzero(steps < 0) - 1
    ends = values_at(self.column_type, [ends[0, first], ends[1, last]])
    return [*map(tuple, np.transpose(ends).tolist())]

  def further_nodes(self) -> np.ndarray:
    """Returns nodes inside of the heaviest intervals, and beyond dense ends."""
    u, span = self.nodes, self.nodes[-1] - self.nodes[0]
    f = np.exp(self.log_density - self.log_density.max())
    shares = np.diff(u) * np.maximum(f[:-1], f[1:])
    if self.column_type.is_integer:
      shares = np.where(np.diff(u) > 1.0, shares, 0.0)
    chosen = np.argsort(-shares)[:_NUM_ADDED]
    chosen = chosen[shares[chosen] > 0.0]
    outside = span * np.arange(1, _NUM_OUTSIDE + 1) / _NUM_OUTSIDE
    added = np.r_[(u[chosen] + u[chosen + 1]) / 2, *(
        u[end] + sign * outside for end, sign in ((0, -1), (-1, 1))
        if self.is_cut(end))]
    if self.column_type.is_integer:
      added = np.floor(added)
    return np.setdiff1d(np.clip(added, *self.limits), u)

  def refined(
      self, nodes: np.ndarray, log_density: np.ndarray) -> 'Conditional':
    """Returns the distribution with further nodes."""
    order = np.argsort(all_nodes := np.r_[self.nodes, nodes])
    finer = dataclasses.replace(
        self, nodes=all_nodes[order],
        log_density=np.r_[self.log_density, log_density][order])
    return dataclasses.replace(finer, is_normalised=(
        abs(finer.log_norm - self.log_norm) < _TOLERANCE
        and not finer.is_cut(0) and not finer.is_cut(-1)))

  def is_cut(self, end: int) -> bool:
    """Returns whether there is some density at an end, 0 or -1, of the nodes
    that is none of the support."""
    return bool(self.nodes[end] != self.limits[end] and (
        self.log_density[end] > self.log_density.max() - _DEPTH))

  @functools.cached_property
  def _cells(self):
    """Log-densities, and masses over the largest density, of small cells, and
    their ends `[2, ...]`, in the units of the nodes."""
    u, log_f = self.nodes, self.log_density
    if self.column_type.is_integer:
      # Those of the values that are nearer to this node than to others.
      edges = np.r_[u[0] - 0.5, (u[:-1] + u[1:]) / 2, u[-1] + 0.5]
      ends = np.stack([u, u])
    else:
      places = np.arange(_NUM_CELLS * (len(u) - 1) + 1) / _NUM_CELLS
      edges = np.interp(places, np.arange(len(u)), u)
      ends = np.stack([edges[:-1], edges[1:]])
      log_f = np.nan_to_num(np.interp(
          places[:-1] + 0.5 / _NUM_CELLS, np.arange(len(u)), log_f),
                            nan=-np.inf, neginf=-np.inf)
    return log_f, np.exp(log_f - self.log_density.max()) * np.diff(edges), ends


def values_at(column_type: column_types.ColumnType, nodes: Any) -> Any:
  """Returns values of a column at nodes, see `Conditional`, in its units."""
  nodes = np.float64(nodes)
  return column_type.values(
      nodes if column_type.is_integer else column_type.inside(nodes, np))


class Reference(NamedTuple):
  """Samples of a flow given one condition.

  Attributes:
    condition: that, or None.
    x: samples `[S, D]`.
    log_prob: their log p(x), `[S]`, nats.
    log_density: that of their mapped numbers.
  """

  condition: Any
  x: np.ndarray
  log_prob: np.ndarray
  log_density: np.ndarray


class Conditionals:
  """Conditional distributions of columns under a flow, by its exact log p.

  For each row and column the density of the row with other values is
  normalised by quadrature: at the value itself, at quantiles of samples of the
  flow, and up to eight standard deviations from the mean that a Gaussian,
  fitted to these, has given the other columns. Intervals with the largest
  masses are halved, and dense ends moved outwards, until the normaliser changes
  by less than 1e-3. Whole numbers in a range of up to 256 are all summed.

  Args:
    model: a flow of vectors, whose log-determinants are exact.
    settings: see `EvaluationSettings`.
  """

  def __init__(self, model: models.Flow, **settings: Any):
    used = dataclasses.replace(settings_lib.EvaluationSettings.of(
        model, **settings), num_repeats=1)
    self._model, self._settings = model, used
    self.types = mapping.of_specs(
        model.schema.types, np.empty([0, model.event_shape[0]]))
    self._log_probs = likelihood.LogProbs(
        batch_map.frozen(model, used.strategy), used, is_repeated=True)

  def log_probs(self, x: np.ndarray, condition: Any = None) -> np.ndarray:
    """Returns log p(x), `[N]`; minus infinity for values without a density."""
    return np.nan_to_num(self._log_probs.of_arrays(
        x, condition), nan=-np.inf, posinf=np.inf, neginf=-np.inf)

  def log_densities(self, x: np.ndarray, condition: Any = None) -> np.ndarray:
    """Returns the log-densities of mapped numbers, see `Conditional`, `[N]`."""
    slopes = [t.log_slope(t.forward(column, np), np)
              for t, column in zip(self.types, x.T, strict=True)
              if not t.is_integer]
    return self.log_probs(x, condition) - sum(slopes)

  def supports(self, x: np.ndarray) -> np.ndarray:
    """Returns which values of a row their columns can take, bool `[D]`."""
    one = np.asarray(x, self._model.input_dtype)[:, np.newaxis]
    return np.array([bool(t.supports(t.units(value, np) + 0.5 * t.is_integer))
                     for t, (value,) in zip(self.types, one, strict=True)])

  def reference(self, condition: Any = None) -> Reference:
    """Returns samples of the flow given one condition."""
    x = np.float64(self._model.sample(
        _NUM_SAMPLES, condition,
        seed=random.fold_in(self._settings.seed, 1).values))
    return Reference(condition, x, self.log_probs(x, condition),
                     self.log_densities(x, condition))

  def __call__(
      self, x: np.ndarray, columns: Sequence[int], reference: Reference,
      max_rounds: int = _MAX_ROUNDS) -> list[Conditional]:
    """Returns the conditional distributions of columns of one row.

    Args:
      x: `[D]`, values with a density.
      columns: their places.
      reference: samples given the condition of the row.
      max_rounds: the most refinements.
    """
    y, samples = (np.stack([
        t.forward(t.units(column, np) + 0.5 * t.is_integer, np)
        for t, column in zip(self.types, rows, strict=True)], axis=-1)
                  for rows in (x, reference.x.T))
    means, stds = _gaussian_conditionals(y, samples)
    nodes, limits = [], []
    for i in columns:
      t = self.types[i]
      ends = np.array(t.limits(np.dtype(self._model.input_dtype)), np.float64)
      near = np.r_[np.quantile(samples[:, i], np.linspace(0.0, 1.0, 33)),
                   means[i] + stds[i] * _RANGE * np.linspace(
                       -1.0, 1.0, _NUM_NODES)]
      if t.is_integer:
        ends, near = np.floor(ends), np.floor(t.inside(near, np))
        if near.max() - near.min() < _MAX_VALUES:
          near = np.arange(near.min(), near.max() + 1.0)
        now = t.units(x[i], np)
      else:
        ends, now = t.forward(ends, np), y[i]
      nodes.append(np.unique(np.r_[now, np.clip(near, *ends)]))
      limits.append((now, tuple(ends)))
    found = [
        Conditional(self.types[i], u, log_density,
                    log_density[np.searchsorted(u, now)], ends)
        for i, u, (now, ends), log_density in zip(
            columns, nodes, limits,
            self._with_values(x, columns, nodes, reference), strict=True)]
    for _ in range(max_rounds):
      todo = [k for k, one in enumerate(found) if not one.is_normalised]
      if not todo:
        break
      nodes = [found[k].further_nodes() for k in todo]
      for k, u, log_density in zip(todo, nodes, self._with_values(
          x, [columns[k] for k in todo], nodes, reference), strict=True):
        found[k] = found[k].refined(u, log_density)
    return found

  def _with_values(self, x, columns, nodes, reference):
    """Log-densities of the row with other values, for each column's nodes."""
    parts = [np.tile(x, [len(u), 1]) for u in nodes]
    for part, i, u in zip(parts, columns, nodes, strict=True):
      part[:, i] = values_at(self.types[i], u)
    rows = np.concatenate(parts)
    log_density = self.log_densities(
        rows, reference.condition) if len(rows) else np.empty([0])
    return np.split(log_density, np.cumsum([*map(len, parts)])[:-1])


def _gaussian_conditionals(y, samples):
  """Means and deviations of each column given the others of a Gaussian."""
  mean, std = samples.mean(axis=0), samples.std(axis=0)
  std = np.where(std > 0.0, std, 1.0)  # Of a column with one value.
  z = (samples - mean) / std
  precision = np.linalg.inv(z.T @ z / len(z) + 1e-9 * np.eye(len(y)))
  variance = 1.0 / np.diag(precision)
  now = (y - mean) / std
  means = now - variance * (precision @ now)
  return mean + std * means, std * np.sqrt(variance)
