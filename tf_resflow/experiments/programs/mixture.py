"""A mixture of Gaussians, chosen by folds as `train` chooses its own.

  python mixture.py ROWS.npz VALUES.npz SEED

Of standardised columns as they are, with logarithms of all without a number of
0 or less, or mapped; see `columns.mixtures.search`, without a limit of time.
Folds of the training and validation rows choose. Points that have no such
logarithm have no density.
"""

import sys

import numpy as np

from tf_resflow.columns import mixtures

rows, seed = np.load(sys.argv[1]), int(sys.argv[3])
known = np.random.default_rng(seed).permutation(np.concatenate([
    np.c_[rows[part], rows[f'mapped_{part}'], rows[f'log_det_{part}']]
    for part in ('train', 'validation')]))
points = np.c_[
    rows['points'], rows['mapped_points'], rows['log_det_points']]
size = rows['points'].shape[1]
logs = np.flatnonzero((known[:, :size] > 0).all(axis=0))


def columns(x):
  """Returns rows of each set of columns, and their log-determinants."""
  y = x[:, :size].copy()
  with np.errstate(divide='ignore', invalid='ignore'):
    y[:, logs] = np.log(y[:, logs])
  return {'plain columns': (x[:, :size], np.zeros(len(x))),
          'logarithms': (y, -y[:, logs].sum(axis=1)),
          'mapped columns': (x[:, size:-1], x[:, -1])}


def standardized(y, log_det, like):
  mean, std = like.mean(axis=0), like.std(axis=0)
  return (y - mean) / std, log_det - np.log(std).sum()


fitted_to, tested_on = columns(known), columns(points)
# Equal sets are one.
sets = {name: standardized(y, log_det, y)
        for i, (name, (y, log_det)) in enumerate(fitted_to.items())
        if not any(np.array_equal(y, other)
                   for other, _ in [*fitted_to.values()][:i])}
candidate, found, _ = mixtures.search(sets, seed=seed).mixture
print(candidate, file=sys.stderr)
y, log_det = tested_on[candidate.columns]
z, log_det = standardized(y, log_det, fitted_to[candidate.columns][0])
log_prob = np.full(len(z), -np.inf)
is_in = np.isfinite(z).all(axis=1)
log_prob[is_in] = found.score_samples(z[is_in]) + log_det[is_in]
np.savez(sys.argv[2], log_prob=log_prob)
