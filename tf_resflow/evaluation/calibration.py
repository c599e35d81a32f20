"""Whether posteriors are calibrated: ranks of parameters among their draws.

Parameters drawn from the prior, data simulated from them, and draws of the
exact posterior given the data are exchangeable: the rank of the parameter among
`L` draws is uniform on {0, ..., L}. A posterior that is too narrow has too many
ranks at the ends, one that is too wide too few.

References:
  Talts et al., 2018, Validating Bayesian Inference Algorithms with
  Simulation-Based Calibration; Saeilynoja, Buerkner and Vehtari, 2022,
  Graphical Test for Discrete Uniformity, Section 3 (the band).
"""

from collections.abc import Mapping
import os
from typing import NamedTuple

from matplotlib import figure as figure_lib
import numpy as np
from numpy import typing as npt
from scipy import stats

from tf_resflow import errors

_NUM_POINTS = 100
_NUM_TRIALS = 4000


def ranks(values: npt.ArrayLike, draws: npt.ArrayLike) -> np.ndarray:
  """Returns how many draws are smaller than each value, `[N, ...]`.

  Args:
    values: `[N, ...]`, parameters, or numbers that are functions of parameters
      and data, such as the log-density.
    draws: `[N, L, ...]`, the same of draws given the data of each.

  Example:
    >>> ranks([0.5, 2.0], [[0.0, 1.0, 2.0], [0.0, 1.0, 1.5]]).tolist()
    [1, 3]
  """
  values, draws = np.asarray(values), np.asarray(draws)
  errors.check(
      draws.ndim == values.ndim + 1 and len(draws) == len(values)
      and draws.shape[2:] == values.shape[1:], 'draws', list(draws.shape),
      f'[N, L, ...] for values [N, ...] {list(values.shape)}')
  return np.sum(draws < values[:, np.newaxis], axis=1)


class Band(NamedTuple):
  """Where the whole distribution of uniform ranks lies, with some probability.

  Attributes:
    points: `[K]`, in (0, 1).
    low: `[K]`, the least share of ranks, over `L + 1`, that are at most there.
    high: `[K]`, the greatest.
    num_draws: `L`.
    level: the probability that all shares lie so.
  """

  points: np.ndarray
  low: np.ndarray
  high: np.ndarray
  num_draws: int
  level: float

  def shares(self, rank_values: npt.ArrayLike) -> np.ndarray:
    """Returns the shares of ranks `[N]` that are at most at the points."""
    return np.mean(
        np.asarray(rank_values)[:, np.newaxis] < _limits(
            self.points, self.num_draws), axis=0)

  def holds(self, rank_values: npt.ArrayLike) -> bool:
    """Whether ranks `[N]` lie inside."""
    shares = self.shares(rank_values)
    return bool(np.all((self.low <= shares) & (shares <= self.high)))


def simultaneous_band(
    num_simulations: int, num_draws: int, level: float = 0.99, seed: int = 0,
) -> Band:
  """Returns the band that holds all shares of uniform ranks.

  Binomial intervals at every point, all of one level, which is found by
  simulation such that all of them hold with the probability asked for.

  Args:
    num_simulations: `N`.
    num_draws: `L`.
    level: the probability.
    seed: of the simulation.

  Example:
    >>> band = simultaneous_band(500, 99)
    >>> band.holds(np.arange(500) % 100), band.holds(np.zeros(500, int))
    (True, False)
  """
  errors.check(0.0 < level < 1.0, 'level', level, 'a number in (0, 1)')
  num_points = min(_NUM_POINTS, num_draws)
  points = np.arange(1, num_points + 1) / (num_points + 1)
  # The probability of a rank being at most at a point.
  shares = _limits(points, num_draws) / (num_draws + 1)
  # Of ranks between two points and the next; the last are above all points.
  parts = np.random.default_rng(seed).multinomial(
      num_simulations, np.diff([0.0, *shares, 1.0]), size=_NUM_TRIALS)
  counts = np.cumsum(parts, axis=1)[:, :-1]
  law = stats.binom(num_simulations, shares)
  tails = np.minimum(law.cdf(counts), law.sf(counts - 1)).min(axis=1)
  tail = np.quantile(tails, 1.0 - level)
  return Band(
      points, law.ppf(tail) / num_simulations,
      law.isf(tail) / num_simulations, num_draws, level)


def _limits(points, num_draws):
  """Returns how many ranks are at most at points, `[K]`."""
  # 0.29 * 100 is less than 29.
  return np.floor(points * (num_draws + 1) + 1e-9)


def save_ranks(
    path: str | os.PathLike, named_ranks: Mapping[str, npt.ArrayLike],
    band: Band) -> None:
  """Draws shares of ranks less those of uniform ones, in their band.

  Args:
    path: of a .png or .svg file.
    named_ranks: from names to ranks `[N]`.
    band: see `simultaneous_band`.
  """
  figure = figure_lib.Figure((5.0, 3.2), dpi=120, layout='constrained')
  axes = figure.subplots()
  axes.fill_between(
      band.points, band.low - band.points, band.high - band.points,
      color='0.85', label=f'{band.level:.0%} of uniform ranks')
  for name, values in named_ranks.items():
    axes.plot(band.points, band.shares(values) - band.points, label=name)
  axes.set(xlabel='rank / (L + 1)', ylabel='share of ranks below, less that')
  axes.legend(fontsize='small')
  figure.savefig(path)
