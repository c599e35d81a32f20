"""Standard errors of means, p-values of outliers, calibration by ranks.

Two standard errors are distinguished. The data error is that of the mean over
the test split as an estimate of the population mean; it falls with the number
of examples. The estimator error is that of the reported mean as an estimate of
the exact mean of this split, because log-dets are estimated; it falls with the
number of repeats. Inputs are per-example values, in any unit (bits/dim, nats).

Ranks say whether posteriors are calibrated. Parameters drawn from the prior,
data simulated from them, and draws of the exact posterior given the data are
exchangeable: the rank of the parameter among `L` draws is uniform on
{0, ..., L}. A posterior that is too narrow has too many ranks at the ends, one
that is too wide too few.

References:
  Talts et al., 2018, Validating Bayesian Inference Algorithms with
  Simulation-Based Calibration; Saeilynoja, Buerkner and Vehtari, 2022,
  Graphical Test for Discrete Uniformity, Section 3 (the band).
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import stats

from tf_resflow import errors

MIN_REPEATS = 8
# Resolution and number of simulations of a band.
_NUM_POINTS = 100
_NUM_TRIALS = 4000


class MeanAndStderr(NamedTuple):
  """A mean with its errors.

  Attributes:
    stderr: data error, across examples; None for a single one.
    estimator_stderr: estimator error, across repeats; 0 for exact values.
  """

  mean: float
  stderr: Any
  num_examples: int
  estimator_stderr: float = 0.0
  num_repeats: int = 1

  def report(self, name: str) -> dict[str, float]:
    """Returns `name` and `name_stderr`, a dict for JSON."""
    return {name: self.mean, f'{name}_stderr': self.stderr}

  @property
  def total_stderr(self) -> float:
    """The standard error from both sources, for the population mean."""
    return math.hypot(self.stderr, self.estimator_stderr)

  @property
  def num_stderrs(self) -> float:
    """mean / total_stderr; 0 if both are 0."""
    if self.total_stderr:
      return self.mean / self.total_stderr
    return math.copysign(math.inf, self.mean) if self.mean else 0.0


def mean_and_stderr(
    values: npt.ArrayLike, weight: npt.ArrayLike | None = None,
) -> MeanAndStderr:
  """Returns the mean of independent values and its standard error.

  stderr = sqrt(sum_i w_i^2 (x_i - mean)^2 N / (N - 1)) / sum_i w_i,

  which is sqrt(sum_i (x_i - mean)^2 / (N - 1)) / sqrt(N) for equal weights
  `w`, the default.

  Raises:
    InvalidValueError: if `values` is not [N] with N >= 2, or not finite.

  Example:
    >>> mean_and_stderr([1.0, 2.0, 3.0])
    MeanAndStderr(mean=2.0, stderr=0.577..., num_examples=3, ...)
  """
  values = as_finite(values, 'values', least=2)
  errors.check(weight is None or np.sum(weight) > 0.0, 'sample_weight', 'zeros',
               'a positive number', 'No row of these counts.')
  mean, size = np.average(values, weights=weight), len(values)
  if weight is None:
    return MeanAndStderr(float(mean), float(stats.sem(values)), size)
  squares = np.square(weight * (values - mean)) * size / (size - 1)
  return MeanAndStderr(
      float(mean), float(np.sqrt(squares.sum()) / np.sum(weight)), size)


def paired_difference(a: npt.ArrayLike, b: npt.ArrayLike) -> MeanAndStderr:
  """Returns the mean of a_i - b_i, values `[N]` of the same examples.

  Examples that are hard for one model are hard for the other, so pairs give a
  much smaller error than two separate means do.

  Raises:
    InvalidValueError: if the shapes differ or a value is not finite.

  Example:
    >>> paired_difference([1.0, 2.0, 3.0], [2.0, 3.0, 4.5]).mean
    -1.1666...
  """
  a, b = as_finite(a, 'a'), as_finite(b, 'b')
  errors.check(
      a.shape == b.shape, 'b', f'{len(b)} values', f'{len(a)}, the number of a',
      'Pairs need the same examples in the same order.')
  return mean_and_stderr(a - b)


def estimator_stderr(
    repeats: npt.ArrayLike, weight: npt.ArrayLike | None = None) -> float:
  """Returns the standard error of a mean over repeats of random estimates.

  With m_r the mean over examples of repeat r,

    estimator_stderr = sqrt(sum_r (m_r - mean)^2 / (R - 1)) / sqrt(R).

  Only the repeat means m_r are independent: the examples of a batch share the
  random truncation N, so their errors are correlated, and the spread across
  examples does not show them. For a Poisson truncation the estimate has
  infinite variance, and this number then says little about rare large errors.

  Args:
    repeats: [R, N], R >= 8 independent estimates (fresh seeds) of N examples,
      or R = 1 for exact values, whose error is 0.
    weight: [N], of examples, by default equal.

  Raises:
    InvalidValueError: if there are fewer than 8 repeats, or a value is not
      finite.
  """
  if len(repeats) == 1:
    return 0.0
  repeats = as_finite(repeats, 'repeats', rank=2)
  errors.check(
      len(repeats) >= MIN_REPEATS, 'repeats', f'{len(repeats)} of them',
      f'{MIN_REPEATS} or more', 'A standard error of fewer is unreliable.')
  return mean_and_stderr(
      np.average(repeats, axis=1, weights=weight)).stderr


def stderr_per_example(repeats: npt.ArrayLike) -> np.ndarray:
  """Returns the standard error of the mean over repeats, per example.

    stderr_i = sqrt(sum_r (x_ri - mean_i)^2 / (R - 1)) / sqrt(R)

  Args:
    repeats: [R, ...], independent estimates.

  Returns:
    [...]; 0 for a single repeat, of exact values, and where all repeats are
    minus infinity, no density. Other values are finite.
  """
  repeats = np.asarray(repeats, np.float64)
  repeats = np.where(np.all(np.isneginf(repeats), axis=0), 0.0, repeats)
  as_finite(repeats.ravel(), 'repeats')
  if len(repeats) == 1:
    return np.zeros(repeats.shape[1:])
  return stats.sem(repeats, axis=0)


def summarize_repeats(
    repeats: npt.ArrayLike, weight: npt.ArrayLike | None = None,
) -> MeanAndStderr:
  """Returns the mean of repeated estimates `[R, N]` with both errors.

  The data error is computed across examples, after averaging each over its
  repeats. It still includes 1/R of the estimator variance of every example, so
  it is slightly too large. See also `estimator_stderr`. Examples may have a
  `weight`, `[N]`.
  """
  return mean_and_stderr(
      np.mean(np.asarray(repeats, np.float64), axis=0), weight)._replace(
          estimator_stderr=estimator_stderr(repeats, weight),
          num_repeats=len(repeats))


def as_finite(values: npt.ArrayLike, name: str, rank: int = 1,
              least: int = 1) -> np.ndarray:
  """Returns `[N]` or, of rank 2, `[R, N]` finite values as float64, or raises.
  """
  values = np.asarray(values, np.float64)
  errors.check(
      values.ndim == rank and values.size >= least, name,
      f'an array {values.shape}',
      f'{"[R, N]" if rank == 2 else "[N]"}, {least} or more',
      'A standard error needs two values.' if least > 1 else '')
  num_bad = np.count_nonzero(~np.isfinite(values))
  errors.check(
      num_bad == 0, name, f'{num_bad} NaN or infinite of {values.size}',
      'finite numbers', 'Inspect those examples first.')
  return values


def conformal_p_values(
    scores: npt.ArrayLike, held_out: npt.ArrayLike,
    weight: npt.ArrayLike | None = None) -> np.ndarray:
  """Returns p-values of "drawn like the held-out examples", `[N]`.

    p_i = (1 + number of held-out scores <= score_i) / (n + 1)

  A held-out example of a weight, relative to the mean, counts as so many.

  If an example is exchangeable with the held-out ones, so that the model was
  trained on neither, `P(p_i <= t) <= t` for any scores, those of a bad model as
  well: a small p-value says that the example is an outlier. All p-values share
  the held-out examples, so they are dependent.

  Args:
    scores: `[N]`, such as `log p(x)`, low for outliers.
    held_out: `[n]`, the scores of held-out examples.
    weight: `[n]`, of these, by default equal.

  Example:
    >>> conformal_p_values([-9.0, 1.5], [0.0, 1.0, 2.0]).tolist()
    [0.25, 0.75]

  References:
    Vovk et al., 2005, Algorithmic Learning in a Random World, Section 2.2;
    Bates et al., 2023, Testing for Outliers with Conformal p-values, Section 2.
  """
  lowest = np.finfo(np.float64).min  # Of minus infinity, without density.
  scores, held_out = (
      as_finite(np.where(np.isneginf(values), lowest, values), name)
      for name, values in (('scores', scores), ('held_out', held_out)))
  order = np.argsort(held_out)
  weight = np.ones(len(order)) if weight is None else weight / np.mean(weight)
  counts = np.cumsum([1.0, *weight[order]])
  return counts[np.searchsorted(
      held_out[order], scores, side='right')] / counts[-1]


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
  """A simultaneous confidence band for the ECDF of uniform ranks.

  Attributes:
    points: `[K]`, in (0, 1).
    low: `[K]`, lower limits of the ECDF of `(rank + 1) / (L + 1)` there.
    high: `[K]`, upper limits.
    num_draws: `L`.
    level: the probability that the whole ECDF lies inside.
  """

  points: np.ndarray
  low: np.ndarray
  high: np.ndarray
  num_draws: int
  level: float

  def shares(self, rank_values: npt.ArrayLike) -> np.ndarray:
    """Returns the ECDF of ranks `[N]` at the points."""
    return np.mean(
        np.asarray(rank_values)[:, np.newaxis] < _limits(
            self.points, self.num_draws), axis=0)

  def holds(self, rank_values: npt.ArrayLike) -> bool:
    """Returns whether the ECDF of ranks `[N]` lies inside."""
    shares = self.shares(rank_values)
    return bool(np.all((self.low <= shares) & (shares <= self.high)))


def simultaneous_band(
    num_simulations: int, num_draws: int, level: float = 0.99, seed: int = 0,
) -> Band:
  """Returns a simultaneous confidence band for the ECDF of uniform ranks.

  It consists of binomial intervals at every point, all of one level, which is
  found by simulation such that all of them hold with the given probability.

  Args:
    num_simulations, num_draws: `N` and `L`.
    level: the probability.
    seed: of that simulation.

  Example:
    >>> band = simultaneous_band(500, 99)
    >>> band.holds(np.arange(500) % 100), band.holds(np.zeros(500, int))
    (True, False)
  """
  errors.check(0.0 < level < 1.0, 'level', level, 'a number in (0, 1)')
  num_points = min(_NUM_POINTS, num_draws)
  points = np.arange(1, num_points + 1) / (num_points + 1)
  # Probabilities of ranks up to each point.
  shares = _limits(points, num_draws) / (num_draws + 1)
  # Numbers of ranks between neighbouring points; the last are above all.
  parts = np.random.default_rng(seed).multinomial(
      num_simulations, np.diff([0.0, *shares, 1.0]), size=_NUM_TRIALS)
  counts = np.cumsum(parts, axis=1)[:, :-1]
  binomial = stats.binom(num_simulations, shares)
  tails = np.minimum(binomial.cdf(counts), binomial.sf(counts - 1)).min(axis=1)
  tail = np.quantile(tails, 1.0 - level)
  return Band(
      points, binomial.ppf(tail) / num_simulations,
      binomial.isf(tail) / num_simulations, num_draws, level)


def _limits(points, num_draws):
  """Returns the number of possible ranks up to each point, `[K]`."""
  # In floating point 0.29 * 100 is less than 29.
  return np.floor(points * (num_draws + 1) + 1e-9)
