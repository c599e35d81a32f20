"""A Gaussian of the standardised mapped coordinates.

  python gaussian.py ROWS.npz VALUES.npz SEED

There is nothing to choose, so that it is fitted to the validation rows, too.
Only a covariance that is not positive definite is regularised.
"""

import sys

import numpy as np

from tf_resflow.columns import mixtures

rows = np.load(sys.argv[1])
known = np.concatenate([rows['mapped_train'], rows['mapped_validation']])
mean, std = known.mean(axis=0), known.std(axis=0)
gaussian = next(filter(None, (
    mixtures.Candidate(1, 'full', reg_covar, '').fit((known - mean) / std, 0)
    for reg_covar in (0.0, 1e-6))))
np.savez(sys.argv[2], log_prob=gaussian.score_samples(
    (rows['mapped_points'] - mean) / std) + (
        rows['log_det_points'] - np.log(std).sum()))
