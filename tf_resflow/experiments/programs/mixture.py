"""A mixture of Gaussians with scikit-learn, chosen on the validation rows.

  python mixture.py ROWS.npz VALUES.npz SEED

Tried are 1, 2, 3, 5 and 10 components with five regularisations, of columns as
they are, with logarithms of the positive ones, and mapped; all standardised.
They are compared after fits to 10,000 rows at most; the best is then fitted to
all training rows.
"""

import itertools
import sys
import warnings

import numpy as np
from sklearn import mixture
import threadpoolctl

NUM_COMPONENTS = 1, 2, 3, 5, 10
REG_COVAR = 1e-6, 1e-3, 0.01, 0.1, 0.3
MAX_ROWS = 10_000


def candidates(rows):
  """Yields the names of coordinates, and a function from a part to these."""
  low = np.min([rows[part].min(axis=0) for part in (
      'train', 'validation', 'points')], axis=0)
  logs = low > 0

  def log(part):
    x = rows[part].copy()
    x[:, logs] = np.log(x[:, logs])
    return x, -x[:, logs].sum(axis=1)

  yield 'plain', lambda part: (rows[part], 0.0)
  yield 'logarithms', log
  yield 'mapped', lambda part: (rows[f'mapped_{part}'], rows[f'log_det_{part}'])


def fit(x, count, reg_covar, seed):
  """Returns a mixture of rows, or None where EM fails."""
  try:
    with warnings.catch_warnings(action='ignore'):
      return mixture.GaussianMixture(
          count, reg_covar=reg_covar, random_state=seed).fit(x)
  except ValueError:
    return None


def main(rows_path, values_path, seed):
  rows = dict(np.load(rows_path))
  if not len(rows['validation']):  # A fifth, to choose by.
    order = np.random.default_rng(seed).permutation(len(rows['train']))
    parts = np.split(order, [len(order) // 5])
    for name in ('', 'mapped_', 'log_det_'):
      rows[f'{name}validation'], rows[f'{name}train'] = (
          rows[f'{name}train'][part] for part in parts)
  tried = []
  for name, part_of in candidates(rows):
    train, _ = part_of('train')
    mean, std = train.mean(axis=0), train.std(axis=0)

    def log_prob(found, part, part_of=part_of, mean=mean, std=std):
      y, log_det = part_of(part)
      return found.score_samples((y - mean) / std) + log_det - np.log(std).sum()

    for count, reg_covar in itertools.product(NUM_COMPONENTS, REG_COVAR):
      z = (train - mean) / std
      found = fit(z[:MAX_ROWS], count, reg_covar, seed)
      if found:
        tried.append((log_prob(found, 'validation').mean(), name, found, z,
                      log_prob))
  value, name, found, z, log_prob = max(tried, key=lambda each: each[0])
  if len(z) > MAX_ROWS:
    found = fit(z, found.n_components, found.reg_covar, seed) or found
  print(f'{name}: {found}, validation {value:.4f}', file=sys.stderr)
  np.savez(values_path, log_prob=log_prob(found, 'points'))


if __name__ == '__main__':
  # Threads wait for one another in operations this small.
  with threadpoolctl.threadpool_limits(1):
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
