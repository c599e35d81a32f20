"""Mixtures and regressions against the laws that rows are drawn from."""

import numpy as np
import pytest
from scipy import stats

from tests import splits
from tf_resflow.columns import mixtures


def _blobs(num_rows, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=[num_rows, 2]) + 9.0 * rng.integers(2, size=[
      num_rows, 1])


def test_the_mixture_that_rows_are_drawn_from():
  found = mixtures.fit(_blobs(600))
  assert found.n_components in (2, 3)
  rows = _blobs(2000, seed=1)
  true = np.logaddexp(*(stats.norm(mean).logpdf(rows).sum(axis=1)
                        for mean in (0.0, 9.0))) - np.log(2.0)
  assert found.score(rows) == pytest.approx(true.mean(), abs=0.02)
  again, other = mixtures.fit(_blobs(600)), mixtures.fit(_blobs(600), seed=1)
  np.testing.assert_array_equal(found.means_, again.means_)
  assert not np.array_equal(found.means_, other.means_)
  assert mixtures.fit(_blobs(600), max_components=1).n_components == 1


def test_few_rows_are_smoothed():
  """A component for each row, or one without a spread, does badly."""
  rows = np.random.default_rng(0).normal(size=[12, 5])
  found = mixtures.fit(rows)
  assert found.n_components < 5 and found.reg_covar > 1e-3
  assert splits.refusal(mixtures.fit, rows[:4]).startswith(
      'rows=4 rows: expected 5 or more')


def test_slopes_of_a_regression():
  rng = np.random.default_rng(0)
  slopes = rng.normal(size=[3, 2])
  conditions = rng.normal(5.0, [1.0, 1e-2, 1e3], size=[4000, 3])
  noise = rng.normal(size=[4000, 2])
  found = mixtures.regress(
      conditions / [1.0, 1e-2, 1e3] @ slopes + 7.0 + noise, conditions)
  np.testing.assert_allclose(  # 5.5 standard errors.
      found * np.array([[1.0], [1e-2], [1e3]]), slopes, atol=0.09)
  # What no row has does not count.
  conditions[:, 1] = 3.0
  assert np.all(mixtures.regress(noise, conditions)[1] == 0.0)
