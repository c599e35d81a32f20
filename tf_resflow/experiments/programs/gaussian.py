"""A Gaussian of the mapped coordinates.

  python gaussian.py ROWS.npz VALUES.npz SEED

There is nothing to choose, so that it is fitted to the validation rows, too.
"""

import sys

import numpy as np
from scipy import stats

rows = np.load(sys.argv[1])
known = np.concatenate([rows['mapped_train'], rows['mapped_validation']])
gaussian = stats.multivariate_normal(
    known.mean(axis=0), np.cov(known.T, ddof=0))
np.savez(sys.argv[2], log_prob=np.reshape(
    gaussian.logpdf(rows['mapped_points']), -1) + rows['log_det_points'])
