"""Whitening and smoothing, by the correlations of standardised rows."""

import numpy as np
from sklearn import datasets as sklearn_datasets

from tf_resflow.columns import correlations


def test_smoothing_is_what_cross_validation_says():
  """Against Gaussians that are fitted and scored one by one."""
  x = sklearn_datasets.load_wine().data[:120]
  z = (x - x.mean(axis=0)) / x.std(axis=0)
  losses = []
  for smoothing in correlations._SMOOTHINGS:
    loss = 0.0
    for i in range(5):
      is_test = np.arange(len(z)) % 5 == i
      mean = z[~is_test].mean(axis=0)
      covariance = np.cov(z[~is_test].T, ddof=0) + smoothing**2 * np.eye(13)
      difference = z[is_test] - mean
      loss += 0.5 * is_test.sum() * np.linalg.slogdet(covariance)[1] + (
        0.5 * np.sum(difference * np.linalg.solve(covariance, difference.T).T))
    losses.append(loss)
  best = correlations._SMOOTHINGS[int(np.argmin(losses))]
  assert correlations.smoothing(z) == best > 0.0


def test_far_rows_do_not_decide_on_the_smoothing():
  """Three of 2,000 rows are far off the plane near which all others lie."""
  z = np.random.default_rng(0).standard_normal([2000, 3])
  z[:, 2] = (z[:, 0] + z[:, 1] + 0.01 * z[:, 2]) / 2**0.5
  z[[0, 700, 1400], 2] += 4.0 * np.array([1.0, -1.0, 1.0])
  assert correlations.smoothing(z) <= 0.01


def test_whitening_widens_thin_directions_alone():
  z = np.random.default_rng(0).standard_normal([5000, 4])
  z[:, 3] = z[:, 0] + 1e-3 * z[:, 3]
  z = (z - z.mean(axis=0)) / z.std(axis=0)
  matrix = np.zeros([4, 4])
  matrix[np.tril_indices(4)] = correlations.whitening(z)
  assert np.all(np.diag(matrix) > 0)
  before, after = (np.sqrt(np.linalg.eigvalsh(np.cov(rows.T)))
                   for rows in (z, z @ matrix.T))
  assert before[0] < 1e-3 and 0.9 < after[0] < 1.05
  np.testing.assert_allclose(after[1:3], before[1:3], rtol=0.05)
  assert correlations.whitening(z[:, :1]) == ()
