"""Mixtures of Gaussians that a flow of vectors is compared with.

They are what one would fit with scikit-learn: to standardised columns, or their
logarithms, by cross-validation.
"""

from collections.abc import Mapping, Sequence
import contextlib
import itertools
import logging
import math
import time
from typing import Any, NamedTuple
import warnings

import numpy as np
from numpy import typing as npt
from scipy import special
from scipy import stats
from sklearn import mixture
from sklearn import model_selection
import threadpoolctl

from tf_resflow import errors
from tf_resflow.columns import mapping
from tf_resflow.evaluation import coordinates as coordinates_lib
from tf_resflow.evaluation import statistics

NUM_COMPONENTS = (1, 2, 3, 5, 10)
_COVARIANCES = ('full', 'diag')
# Candidates of what is added to the variances of standardised columns.
_REGULARIZATIONS = (1e-6, 1e-3, 1e-2, 1e-1)
_MAX_ITERATIONS = 200
_NUM_FOLDS = 5
# Share of the time that the choice may take, before the fit to all rows.
_SHARE_OF_CHOICE = 0.8
# Rows by which candidates are compared.
_MAX_ROWS = 10_000
# Candidates are dropped when they are worse than the best one by so many paired
# standard errors.
_NUM_STDERRS = 3.0

_logger = logging.getLogger(__name__)


class Baseline(NamedTuple):
  """A fitted mixture and its values on the test part.

  Attributes:
    mixture: a `sklearn.mixture.GaussianMixture`.
    values: `[N]`, nats in the units of the data, or bits/dim, means of 8 draws;
      infinite for rows that some baseline gives no density.
    details: further fields of the report.
  """

  mixture: Any
  values: np.ndarray
  details: dict[str, Any]

  def report(self) -> dict[str, Any]:
    """Returns the results, a dict for JSON."""
    values = self.values[np.isfinite(self.values)]
    unit = 'bits_per_dim' if 'settings' in self.details else 'nats'
    return {**statistics.mean_and_stderr(values).report(unit),
            'num_examples': len(values), **self.details}


class _Candidate(NamedTuple):
  """A mixture: its columns, a name of a set of types, and its settings."""

  num_components: int
  covariance_type: str
  reg_covar: float
  columns: str

  @property
  def is_gaussian(self):
    """Whether it is one with a full covariance, nearly of the rows."""
    return (self.num_components, self.covariance_type) == (1, 'full') and (
        self.reg_covar <= _REGULARIZATIONS[0])

  def fit(self, z, seed):
    """Returns a fitted `sklearn.mixture.GaussianMixture`; None if it fails.

    EM that stops early is still a density.
    """
    with (warnings.catch_warnings(action='ignore'),
          contextlib.suppress(ValueError)):
      return mixture.GaussianMixture(
          self.num_components, covariance_type=self.covariance_type,
          reg_covar=self.reg_covar, max_iter=_MAX_ITERATIONS,
          random_state=seed).fit(z)


class _Scores(NamedTuple):
  """log p of rows that were held out, and seconds of a fit to all rows."""

  log_prob: np.ndarray
  seconds: float

  @property
  def mean(self):
    return float(np.mean(self.log_prob))

  def is_worse(self, best):
    """Whether a score is clearly below another one of the same rows."""
    gap = best.log_prob - self.log_prob
    return np.mean(gap) > _NUM_STDERRS * stats.sem(gap)


def fit_mixtures(
    train: npt.ArrayLike, test: npt.ArrayLike,
    maps: Mapping[str, Sequence[str]] | None = None, *,
    conditions: Sequence[np.ndarray] = (),
    num_components: Sequence[int] = NUM_COMPONENTS,
    max_seconds: float = math.inf, seed: int = 0,
    verbose: int = 0) -> dict[str, Baseline]:
  """Fits a Gaussian and a Gaussian mixture to vectors.

  Candidates are mixtures `q` of standardised columns, in several sets of types,

    log p(x) = log q(z) + log|det dz/dx|,    z = (f(x) - m(c)) / s,

  with full or diagonal covariances, to whose diagonals 1e-6 to 0.1 is added.
  The mean log p of rows that are held out decides, in five folds of the
  training rows as they follow one another (of 10,000 of them at most); the best
  candidate is then fitted to all. To whole numbers uniform noise on [0, 1) is
  added, the same for all candidates; values of test rows are `-log P`, by 16
  points of the cell.

  The Gaussian is that of the highest likelihood, without regularisation, in its
  best set of types; if rows are too few for that, with the least.

  Args:
    train: `[M, D]`, rows in random order, or those of a group side by side.
    test: `[N, D]`.
    maps: sets of specs of the types of columns, by name; real numbers by
      default. All training rows support them.
    conditions: those of both parts, `[M, C]` and `[N, C]`, if there are some:
      the means `m` are then linear in them.
    num_components: the numbers to choose from for the mixture.
    max_seconds: aim of the time, of which the choice takes four fifths at most.
      Candidates of fewer components come first, and what cannot be fitted to
      all rows in the rest is not taken. A Gaussian is always fitted.
    seed: of the noise and the start of EM.
    verbose: 1 logs every candidate with its mean log p.

  Returns:
    `gaussian` and `gaussian_mixture`. Their details are `columns`, the set of
    types, `num_components`, `covariance_type`, `reg_covar`, `converged`,
    `validation_nats`, and `not_tried`, the numbers of components that there was
    no time for (in whole or in part), if any.

  Raises:
    InvalidValueError: if shapes do not fit, a number is not finite, a column is
      constant, or there are fewer rows than components.

  Example:
    >>> x = np.random.default_rng(0).normal([5.0, 0.0], [2.0, 1.0], [900, 2])
    >>> found = fit_mixtures(x[:600], x[600:])
    >>> nats = found['gaussian'].report()['nats']
    >>> print(f'{nats:.2f}, {np.log(4.0 * np.pi * np.e):.2f}')
    3.61, 3.53
  """
  start = time.monotonic()
  train = _as_rows('train', train, np.shape(train)[-1:])
  test = _as_rows('test', test, train.shape[1:])
  maps = maps or {'plain columns': ()}
  noise = np.random.default_rng(seed).random(train.shape)
  condition, *test_condition = conditions or [None]
  sets = {name: coordinates_lib.Coordinates.fitted(
      specs, train, noise, condition) for name, specs in maps.items()}
  for found in sets.values():
    errors.check(np.all(found.std > 0), 'train', 'a constant column '
                 f'{np.argmin(found.std)}', 'columns that vary')
  rows = {name: found(train, condition, noise) for name, found in sets.items()}
  # Threads wait for one another in operations this small: where other programs
  # run as well, 10 to 40 times as long as one of them takes.
  with threadpoolctl.threadpool_limits(1):
    tried, not_tried = _cross_validated(
        _candidates(maps, num_components), num_components, rows, seed,
        start + _SHARE_OF_CHOICE * max_seconds)
    if verbose:
      for candidate, scores in tried.items():
        _logger.info('%s: mean log p %.4f.', candidate, scores.mean)
    left = start + max_seconds - time.monotonic()
    chosen = {
        'gaussian': _best(tried, [1], rows, seed, lambda c: (
            c.covariance_type == 'full', -c.reg_covar, tried[c].mean)),
        'gaussian_mixture': _best(tried, num_components, rows, seed, lambda c: (
            tried[c].seconds <= left, round(tried[c].mean, 4)))}
  is_supported = np.all([
      mapping.with_density(maps[candidate.columns], test)[0]
      for candidate, _ in chosen.values()], axis=0)
  results = {}
  for name, (candidate, fitted) in chosen.items():
    values = np.full(len(test), np.inf)
    values[is_supported] = -_cell_log_prob(fitted, *sets[candidate.columns](
        *(part[is_supported] for part in (test, *test_condition))))
    results[name] = Baseline(fitted, values, {
        'validation_nats': -tried[candidate].mean, **candidate._asdict(),
        'converged': fitted.converged_})
  if not_tried:
    results['gaussian_mixture'].details['not_tried'] = not_tried
  return results


def _candidates(maps, num_components):
  """Returns candidates, those of fewer components first.

  Two Gaussians of each set of types are always among them, of which the second
  one can be fitted to fewer rows than columns.
  """
  gaussians = itertools.product(
      [1], ['full'], [0.0, _REGULARIZATIONS[0]], maps)
  others = itertools.product(
      sorted(num_components), _COVARIANCES, _REGULARIZATIONS, maps)
  return [*dict.fromkeys(itertools.starmap(
      _Candidate, itertools.chain(gaussians, others)))]


def _cross_validated(candidates, num_components, rows, seed, end):
  """Scores candidates by rows that they were not fitted to, fold by fold.

  Clearly worse ones are dropped after each fold. When time is over, candidates
  that were not tried are left out, or, if all were, the rest of the folds.

  Returns:
    The `_Scores` of those that are left, and the numbers of components of those
    that were not tried.
  """
  tried: dict[_Candidate, _Scores] = {}
  size = len(next(iter(rows.values()))[0])
  used = np.linspace(0, size - 1, min(size, _MAX_ROWS)).astype(int)
  parts = {name: [part[used] for part in both] for name, both in rows.items()}
  for fitting, held_out in model_selection.KFold(_NUM_FOLDS).split(used):
    found: dict[_Candidate, _Scores] = {}
    left_out = []
    for candidate in tried or candidates:
      begin = time.monotonic()
      if begin >= end and any(
          c.num_components in num_components for c in found):
        left_out.append(candidate.num_components)
        continue
      z, log_det = parts[candidate.columns]
      if fitted := candidate.fit(z[fitting], seed):
        log_prob = fitted.score_samples(z[held_out]) + log_det[held_out]
        seconds = time.monotonic() - begin
        found[candidate] = _Scores(
            np.append(tried[candidate].log_prob if tried else [], log_prob),
            seconds * size / len(fitting))
    if left_out and tried:
      break
    best = max(found.values(), key=lambda scores: scores.mean)
    tried = {c: scores for c, scores in found.items()
             if c.is_gaussian or not scores.is_worse(best)}
    if left_out:
      return tried, sorted({*left_out})
  return tried, []


def _best(tried, num_components, rows, seed, key):
  """Fits the best of the candidates to all rows, or raises."""
  ranked = sorted((c for c in tried if c.num_components in num_components),
                  key=key, reverse=True)
  for candidate in ranked:
    if fitted := candidate.fit(rows[candidate.columns][0], seed):
      return candidate, fitted
  raise errors.InvalidValueError(
      'num_components', min(num_components),
      problem='cannot be fitted to these training examples')


def _cell_log_prob(fitted, z, log_det):
  """Returns log p of rows `[N, D]`, or the mean over cells `[N, K, D]`."""
  values = fitted.score_samples(
      z.reshape([-1, z.shape[-1]])).reshape(z.shape[:-1]) + log_det
  return values if z.ndim == 2 else special.logsumexp(
      values, axis=1) - np.log(z.shape[1])


def _as_rows(name, rows, shape):
  """Returns vectors as float64, or raises."""
  rows = np.asarray(rows, np.float64)
  errors.check(
      rows.ndim == 2 and rows.size > 0 and rows.shape[1:] == shape
      and np.all(np.isfinite(rows)), name, f'an array {list(rows.shape)}',
      f'finite numbers [N, {", ".join(map(str, shape)) or "D"}]')
  return rows
