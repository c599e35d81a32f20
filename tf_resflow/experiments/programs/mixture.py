"""A mixture of Gaussians with scikit-learn, chosen by folds.

  python mixture.py ROWS.npz VALUES.npz SEED

Of standardised columns, as they are or with logarithms of all without a number
of 0 or less. Folds of the training and validation rows choose, of 10,000 of
them at most. Points that have no such logarithm have no density.
"""

import sys
import warnings

import numpy as np
from sklearn import mixture
from sklearn import model_selection
import threadpoolctl

GRID = {'n_components': [1, 2, 3, 5, 10], 'covariance_type': ['full', 'diag'],
        'reg_covar': [1e-6, 1e-3, 1e-2, 1e-1]}

rows, seed = np.load(sys.argv[1]), int(sys.argv[3])
known = np.random.default_rng(seed).permutation(
    np.concatenate([rows['train'], rows['validation']]))
best = -np.inf
# Threads wait for one another in operations this small.
with threadpoolctl.threadpool_limits(1), warnings.catch_warnings(
    action='ignore'):
  for logs in np.array([], int), np.flatnonzero((known > 0).all(axis=0)):
    y, points = known.copy(), rows['points'].copy()
    y[:, logs], points[:, logs] = np.log(y[:, logs]), np.log(points[:, logs])
    mean, std = y.mean(axis=0), y.std(axis=0)
    search = model_selection.GridSearchCV(
        mixture.GaussianMixture(max_iter=200, random_state=seed), GRID,
        cv=5).fit((y[:10_000] - mean) / std)
    value = search.best_score_ - np.log(std).sum() - (
        y[:10_000, logs].sum(axis=1).mean())
    if value > best:
      best = value
      found = search.best_estimator_.fit((y - mean) / std)
      log_prob = np.full(len(points), -np.inf)
      is_in = np.isfinite(points).all(axis=1)
      log_prob[is_in] = found.score_samples((points[is_in] - mean) / std) - (
          np.log(std).sum() + points[is_in][:, logs].sum(axis=1))
np.savez(sys.argv[2], log_prob=log_prob)
