"""Mixtures of Gaussians and linear regressions, fitted to rows."""

import contextlib
import itertools
from typing import Any
import warnings

import numpy as np

from tf_resflow import errors

# What is tried: numbers of components, and what is added to their variances.
_NUM_COMPONENTS = (1, 2, 3, 5, 10)
_FACTORS = (1e-6, 1e-3, 0.01, 0.03, 0.1, 0.3)


def fit(rows: np.ndarray, max_components: int = 10, seed: int = 0) -> Any:
  """Fits a mixture of Gaussians by EM.

  The number of components and what is added to the variances of their
  covariances are those of the highest mean log-density of a fifth of the rows;
  the mixture is then fitted to all rows.

  Args:
    rows: `[N, D]`, columns of variance about 1.
    max_components: largest number of components.
    seed: of the fifth, and of the start of EM.

  Returns:
    A `sklearn.mixture.GaussianMixture`.

  Raises:
    InvalidValueError: if there are fewer than five rows.
  """
  import threadpoolctl
  errors.check(len(rows) >= 5, 'rows', f'{len(rows)} rows', '5 or more')
  rows = np.random.default_rng(seed).permutation(np.float64(rows))
  held_out, others = np.split(rows, [len(rows) // 5])
  counts = {*_NUM_COMPONENTS, max_components}
  # Threads wait for one another in operations this small.
  with (threadpoolctl.threadpool_limits(1),
        warnings.catch_warnings(action='ignore')):
    scores = {
        (count, factor): fitted.score(held_out)
        for count, factor in itertools.product(sorted(counts), _FACTORS)
        if count <= max_components and (
            fitted := _fitted(others, count, factor, seed))}
    for setting in sorted(scores, key=scores.__getitem__, reverse=True):
      if best := _fitted(rows, *setting, seed):
        return best
  raise errors.InvalidValueError(
      'rows', f'{len(rows)} rows', 'rows that a Gaussian can be fitted to')


def regress(rows: np.ndarray, conditions: np.ndarray) -> np.ndarray:
  """Returns the slopes `A`, `[K, D]`, of the regression `rows ~ c A + b`.

  It is a ridge regression on standardised conditions, `[N, K]`; its strength
  does best when single rows are left out.
  """
  from sklearn import linear_model
  scale = conditions.std(axis=0)
  scale = np.where(scale > 0.0, scale, 1.0)
  fitted = linear_model.RidgeCV(np.logspace(-3, 3, 7)).fit(
      conditions / scale, rows)
  return (fitted.coef_ / scale).T


def _fitted(rows, count, factor, seed):
  """Returns a mixture; None where EM fails."""
  from sklearn import mixture  # Takes a second.
  with contextlib.suppress(ValueError):
    return mixture.GaussianMixture(
        count, reg_covar=factor, max_iter=200, random_state=seed).fit(rows)
  return None
