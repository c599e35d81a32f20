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
points, known = (
    [np.concatenate([rows[f'{key}{part}'] for part in parts])
     for key in ('', 'mapped_', 'log_det_')]
    for parts in (['points'], ['train', 'validation']))
order = np.random.default_rng(seed).permutation(len(known[0]))
known = [array[order] for array in known]
logs = np.flatnonzero((known[0] > 0).all(axis=0))


def columns(plain, mapped, log_det):
  """Returns rows of each set of columns, and their log-determinants."""
  y = plain.copy()
  with np.errstate(divide='ignore', invalid='ignore'):
    y[:, logs] = np.log(y[:, logs])
  return {'plain columns': (plain, np.zeros(len(y))),
          'logarithms': (y, -y[:, logs].sum(axis=1)),
          'mapped columns': (mapped, log_det)}


moments = {name: (y.mean(axis=0), y.std(axis=0))
           for name, (y, _) in columns(*known).items()}
sets, tested = (
    {name: ((y - moments[name][0]) / moments[name][1],
            log_det - np.log(moments[name][1]).sum())
     for name, (y, log_det) in columns(*part).items()}
    for part in (known, points))
candidate, found, _ = mixtures.search(sets, seed=seed).mixture
print(candidate, file=sys.stderr)
z, log_det = tested[candidate.columns]
log_prob = np.full(len(z), -np.inf)
is_in = np.isfinite(z).all(axis=1)
log_prob[is_in] = found.score_samples(z[is_in]) + log_det[is_in]
np.savez(sys.argv[2], log_prob=log_prob)
