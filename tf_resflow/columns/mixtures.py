"""Mixtures of Gaussians, chosen by cross-validation."""

from collections.abc import Mapping, Sequence
import contextlib
import itertools
import logging
import math
import time
from typing import Any, NamedTuple
import warnings

import numpy as np

from tf_resflow import errors

NUM_COMPONENTS = (1, 2, 3, 5, 10)
COVARIANCES = ('full', 'diag')
# Candidates of what is added to the variances of standardised columns.
_REGULARIZATIONS = (1e-6, 1e-3, 1e-2, 1e-1)
# A fit that there is no time for as many iterations for is not tried; others
# have as many as there is time for.
_MIN_ITERATIONS, _MAX_ITERATIONS = 20, 200
_NUM_FOLDS = 5
# Share of the time that the choice may take, before the fit to all rows.
_SHARE_OF_CHOICE = 0.8
# Rows by which candidates are compared.
_MAX_ROWS = 10_000
# Candidates are dropped when they are worse than the best one by so many paired
# standard errors.
_NUM_STDERRS = 3.0

_logger = logging.getLogger(__name__)


class Candidate(NamedTuple):
  """A mixture: the name of its set of rows, and its settings."""

  num_components: int
  covariance_type: str
  reg_covar: float
  columns: str

  @property
  def is_gaussian(self) -> bool:
    """Whether it is one with a full covariance, nearly of the rows."""
    return (self.num_components, self.covariance_type) == (1, 'full') and (
        self.reg_covar <= _REGULARIZATIONS[0])

  def fit(self, z: np.ndarray, seed: int,
          max_iterations: int = _MAX_ITERATIONS) -> Any:
    """Returns a fitted `sklearn.mixture.GaussianMixture`; None if it fails.

    EM that stops early is still a density.
    """
    from sklearn import mixture  # Takes a second.
    with (warnings.catch_warnings(action='ignore'),
          contextlib.suppress(ValueError)):
      return mixture.GaussianMixture(
          self.num_components, covariance_type=self.covariance_type,
          reg_covar=self.reg_covar, max_iter=max_iterations,
          random_state=seed).fit(z)


class Found(NamedTuple):
  """What `search` returns.

  Attributes:
    gaussian, mixture: the candidate, a `sklearn.mixture.GaussianMixture` that
      is fitted to all rows, or to as many as there is time for, 10,000 at
      least, and the mean log p of rows that were held out.
    not_tried: numbers of components that there was no time for, in whole or in
      part.
  """

  gaussian: tuple[Candidate, Any, float]
  mixture: tuple[Candidate, Any, float]
  not_tried: list[int]


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
    return np.mean(gap) * math.sqrt(len(gap)) > (
        _NUM_STDERRS * np.std(gap, ddof=1))


def search(
    sets: Mapping[str, tuple[np.ndarray, np.ndarray]],
    num_components: Sequence[int] = NUM_COMPONENTS,
    covariances: Sequence[str] = COVARIANCES, *, max_seconds: float = math.inf,
    seed: int = 0, verbose: int = 0) -> Found:
  """Fits a Gaussian and a mixture of Gaussians to the best of sets of rows.

  The mean of `log q(z) + log|det dz/dx|` of rows that are held out decides, in
  five folds of the rows as they follow one another, of 10,000 at most. To the
  diagonals of covariances 1e-6 to 0.1 is added. The Gaussian is that of the
  highest likelihood: without, if rows allow it.

  Args:
    sets: rows `z`, `[N, D]`, of variance about 1, and their `log|det dz/dx|`,
      `[N]`, by name. Rows follow one another in random order, or those of a
      group side by side.
    num_components: the numbers to choose from for the mixture.
    covariances: types of them, as scikit-learn calls them.
    max_seconds: aim of the time, of which the choice takes four fifths at most.
      Candidates of fewer components come first. Gaussians of all sets are
      always tried.
    seed: of the start of EM.
    verbose: 1 logs every candidate with its mean log p.

  Raises:
    InvalidValueError: if there are fewer than five rows, or fewer than
      components.
  """
  import threadpoolctl
  start = time.monotonic()
  num_rows = len(next(iter(sets.values()))[0])
  errors.check(num_rows >= _NUM_FOLDS, 'rows', f'{num_rows} rows',
               f'{_NUM_FOLDS} or more')
  # Threads wait for one another in operations this small: where other programs
  # run as well, 10 to 40 times as long as one of them takes.
  with threadpoolctl.threadpool_limits(1):
    tried, not_tried = _cross_validated(
        _candidates(sets, num_components, covariances), num_components, sets,
        seed, start + _SHARE_OF_CHOICE * max_seconds)
    if verbose:
      for candidate, scores in tried.items():
        _logger.info('%s: mean log p %.4f.', candidate, scores.mean)
    left = start + max_seconds - time.monotonic()
    return Found(
        _best(tried, [1], sets, seed, lambda c: (
            c.covariance_type == 'full', -c.reg_covar, tried[c].mean)),
        _best(tried, num_components, sets, seed,
              lambda c: round(tried[c].mean, 4), left), not_tried)


def _candidates(names, num_components, covariances):
  """Returns candidates, those of fewer components first.

  Two Gaussians of each set are always among them, of which the second one can
  be fitted to fewer rows than columns.
  """
  gaussians = itertools.product(
      [1], ['full'], [0.0, _REGULARIZATIONS[0]], names)
  others = itertools.product(
      sorted(num_components), covariances, _REGULARIZATIONS, names)
  return [*dict.fromkeys(itertools.starmap(
      Candidate, itertools.chain(gaussians, others)))]


def _cross_validated(candidates, num_components, sets, seed, end):
  """Scores candidates by rows that they were not fitted to, fold by fold.

  Clearly worse ones are dropped after each fold. Candidates that there is no
  time for are left out, or, if all were tried, the rest of the folds.

  Returns:
    The `_Scores` of those that are left, and the numbers of components of those
    that were not tried.
  """
  from sklearn import model_selection
  tried: dict[Candidate, _Scores] = {}
  # Of an iteration and component, by type of covariance.
  seconds: dict[str, float] = {}
  size = len(next(iter(sets.values()))[0])
  used = np.linspace(0, size - 1, min(size, _MAX_ROWS)).astype(int)
  parts = {name: [part[used] for part in both] for name, both in sets.items()}
  for fitting, held_out in model_selection.KFold(_NUM_FOLDS).split(used):
    found: dict[Candidate, _Scores] = {}
    left_out = []
    for candidate in tried or candidates:
      begin = time.monotonic()
      count, kind, *_ = candidate
      num_iterations = (end - begin) / (count * seconds.get(kind, 1e-9))
      if not candidate.is_gaussian and num_iterations < _MIN_ITERATIONS and any(
          c.num_components in num_components for c in found):
        left_out.append(count)
        continue
      z, log_det = parts[candidate.columns]
      if fitted := candidate.fit(z[fitting], seed, int(np.clip(
          num_iterations, _MIN_ITERATIONS, _MAX_ITERATIONS))):
        log_prob = fitted.score_samples(z[held_out]) + log_det[held_out]
        took = time.monotonic() - begin
        seconds[kind] = max(took / (count * fitted.n_iter_), 1e-9)
        found[candidate] = _Scores(
            np.append(tried[candidate].log_prob if tried else [], log_prob),
            took * size / len(fitting))
    if left_out and tried:
      break
    best = max(found.values(), key=lambda scores: scores.mean)
    tried = {c: scores for c, scores in found.items()
             if c.is_gaussian or not scores.is_worse(best)}
    if left_out:
      return tried, sorted({*left_out})
  return tried, []


def _best(tried, num_components, sets, seed, key, left=np.inf):
  """Fits the best of the candidates to the rows that there is time for."""
  ranked = sorted((c for c in tried if c.num_components in num_components),
                  key=key, reverse=True)
  for candidate in ranked:
    z = sets[candidate.columns][0]
    share = max(left, 0.0) / max(tried[candidate].seconds, 1e-9)
    num_rows = max(round(len(z) * min(share, 1.0)), min(len(z), _MAX_ROWS))
    if fitted := candidate.fit(
        z[np.linspace(0, len(z) - 1, num_rows).astype(int)], seed):
      return candidate, fitted, tried[candidate].mean
  raise errors.InvalidValueError(
      'num_components', min(num_components),
      problem='cannot be fitted to these training examples')
