"""A Gaussian of the standardised mapped coordinates.

  python gaussian.py ROWS.npz VALUES.npz SEED

There is nothing to choose, so that it is fitted to the validation rows, too.
"""

import sys

import numpy as np
from scipy import stats

rows = np.load(sys.argv[1])
known = np.concatenate([rows['mapped_train'], rows['mapped_validation']])
mean, std = known.mean(axis=0), known.std(axis=0)
gaussian = stats.multivariate_normal(
    cov=np.cov((known - mean).T / std[:, np.newaxis], ddof=0))
np.savez(sys.argv[2], log_prob=np.reshape(
    gaussian.logpdf((rows['mapped_points'] - mean) / std), -1) + (
        rows['log_det_points'] - np.log(std).sum()))
