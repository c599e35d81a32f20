"""Mixtures of Gaussians that a flow of vectors is compared with.

They are what one would fit with scikit-learn: to standardised columns, or their
logarithms, by cross-validation.
"""

from collections.abc import Mapping, Sequence
import math
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import special

from tf_resflow import errors
from tf_resflow.columns import coordinates
from tf_resflow.columns import mapping
from tf_resflow.columns import mixtures
from tf_resflow.evaluation import statistics

# Share of the test rows to which a set of columns has to give a density.
_MIN_SHARE = 0.75


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


def fit_mixtures(
    train: npt.ArrayLike, test: npt.ArrayLike,
    maps: Mapping[str, Sequence[str]] | None = None, *,
    conditions: Sequence[np.ndarray] = (),
    num_components: Sequence[int] = (),
    max_seconds: float = math.inf, seed: int = 0,
    verbose: int = 0) -> dict[str, Baseline]:
  """Fits a Gaussian and a Gaussian mixture to vectors.

  Candidates are mixtures `q` of standardised columns, in several sets of types,

    log p(x) = log q(z) + log|det dz/dx|,    z = (f(x) - m(c)) / s,

  with full or diagonal covariances, see `columns.mixtures.search`. To whole
  numbers uniform noise on [0, 1) is added, the same for all candidates; values
  of test rows are `-log P`, by 16 points of the cell.

  Args:
    train: `[M, D]`, rows in random order, or those of a group side by side.
    test: `[N, D]`.
    maps: sets of specs of the types of columns, by name; real numbers by
      default. All training rows support them.
    conditions: those of both parts, `[M, C]` and `[N, C]`, if there are some:
      the means `m` are then linear in them. Mixtures are fitted to what means
      leave that know other folds of the rows.
    num_components, max_seconds, verbose: see `columns.mixtures.search`.
    seed: of the noise and the start of EM.

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
  train = _as_rows('train', train, np.shape(train)[-1:])
  test = _as_rows('test', test, train.shape[1:])
  maps = maps or {'plain columns': ()}
  # A set under which many test rows have no density compares few.
  maps = {name: specs for name, specs in maps.items() if np.mean(
      mapping.with_density(specs, test)[0]) > _MIN_SHARE} or maps
  noise = np.random.default_rng(seed).random(train.shape)
  condition, *test_condition = conditions or [None]
  is_varied = np.ptp(train, axis=0) > 0
  errors.check(np.all(is_varied), 'train', 'a constant column '
               f'{np.argmin(is_varied)}', 'columns that vary')
  sets = {name: coordinates.fitted(specs, train, noise, condition)
          for name, specs in maps.items()}
  found = mixtures.search(
      {name: (z, log_det) for name, (_, z, log_det) in sets.items()},
      num_components or mixtures.NUM_COMPONENTS, max_seconds=max_seconds,
      seed=seed, verbose=verbose)
  chosen = {'gaussian': found.gaussian, 'gaussian_mixture': found.mixture}
  is_supported = np.all([
      mapping.with_density(maps[candidate.columns], test)[0]
      for candidate, *_ in chosen.values()], axis=0)
  results = {}
  for name, (candidate, fitted, log_prob) in chosen.items():
    values = np.full(len(test), np.inf)
    map_fn, *_ = sets[candidate.columns]
    values[is_supported] = -_cell_log_prob(fitted, *map_fn(
        *(part[is_supported] for part in (test, *test_condition))))
    results[name] = Baseline(fitted, values, {
        'validation_nats': -log_prob, **candidate._asdict(),
        'converged': fitted.converged_})
  if found.not_tried:
    results['gaussian_mixture'].details['not_tried'] = found.not_tried
  return results


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
