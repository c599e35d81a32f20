"""Mixtures against the laws that rows are drawn from."""

import itertools
import time

import numpy as np
import pytest
from scipy import stats

from tests import splits
from tf_resflow.columns import mixtures


def _blobs(num_rows, seed=0):
  rng = np.random.default_rng(seed)
  return rng.normal(size=[num_rows, 2]) + 9.0 * rng.integers(2, size=[
      num_rows, 1])


def _search(rows, num_components=(1, 2, 5), covariances=('full',), **settings):
  return mixtures.search(
      {'rows': (rows, np.zeros(len(rows)))}, num_components, covariances,
      **settings)


def test_the_mixture_that_rows_are_drawn_from():
  (candidate, found, log_prob), again, other = (_search(
      _blobs(600), seed=seed).mixture for seed in (0, 0, 1))
  assert candidate.num_components == 2
  rows = _blobs(2000, seed=1)
  true = np.logaddexp(*(stats.norm(mean).logpdf(rows).sum(axis=1)
                        for mean in (0.0, 9.0))) - np.log(2.0)
  assert found.score(rows) == pytest.approx(true.mean(), abs=0.02)
  assert log_prob == pytest.approx(true.mean(), abs=0.2)  # 5 standard errors.
  np.testing.assert_array_equal(found.means_, again[1].means_)
  assert not np.array_equal(found.means_, other[1].means_)


def test_few_rows_are_smoothed():
  """A component for each row, or one without a spread, does badly."""
  rows = np.random.default_rng(0).normal(size=[12, 5])
  candidate, *_ = _search(rows, mixtures.NUM_COMPONENTS).mixture
  assert candidate.num_components < 5 and candidate.reg_covar == 0.1
  assert splits.refusal(_search, rows[:4]).startswith(
      'rows=4 rows: expected 5 or more')


@pytest.mark.parametrize('max_seconds, begin_of_third, not_tried', [
    (37.0, 29.0, [3, 5, 10]),  # The time of the choice is nearly over.
    (20.0, 29.0, [2, 3, 5, 10])])  # 13 iterations of two components are few.
def test_the_rows_and_the_time_that_it_takes(
    monkeypatch, max_seconds, begin_of_third, not_tried):
  """A Gaussian has two iterations, of half a second each."""
  rows = _blobs(200)
  monkeypatch.setattr(mixtures, '_REGULARIZATIONS', (1e-6,))
  monkeypatch.setattr(mixtures, '_MAX_ROWS', 50)
  # Of the start, and the beginning and the end of each fit.
  monkeypatch.setattr(time, 'monotonic', itertools.chain(
      [0.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0],
      itertools.repeat(begin_of_third)).__next__)
  found = _search(rows, mixtures.NUM_COMPONENTS, max_seconds=max_seconds)
  assert found.not_tried == not_tried
  assert found.mixture[0].num_components == not_tried[0] - 1
  # Of some rows; what is chosen is fitted to all.
  np.testing.assert_allclose(found.gaussian[1].means_[0], rows.mean(axis=0))


def test_a_mixture_is_fitted_to_the_rows_that_there_is_time_for(monkeypatch):
  """Forty rows choose in the time that there is; 4,000 would take longer."""
  monkeypatch.setattr(mixtures, '_MAX_ROWS', 40)
  fit, clock, sizes = mixtures.Candidate.fit, [0.0], []

  def slow_fit(candidate, rows, *args):
    clock[0] += candidate.num_components**5
    sizes.append(len(rows))
    return fit(candidate, rows, *args)

  monkeypatch.setattr(mixtures.Candidate, 'fit', slow_fit)
  monkeypatch.setattr(time, 'monotonic', lambda: clock[0])
  found = _search(_blobs(4000), [1, 2], max_seconds=2000.0)
  assert found.mixture[0].num_components == 2 and not found.not_tried
  assert sizes[-2] == 4000 and 1000 < sizes[-1] < 2000  # 4,000 s for all rows.


def test_what_is_fitted_without_time():
  """Gaussians of all sets, and a mixture."""
  rows = _blobs(100)
  found = mixtures.search(
      {'a': (rows, np.zeros(100)), 'b': (rows, np.ones(100))}, [3, 4],
      max_seconds=0.0)
  assert found.gaussian[0].columns == 'b'
  assert found.mixture[0].num_components == 3 and 4 in found.not_tried


def test_what_cannot_be_fitted_is_left_out():
  """Ten components of few rows."""
  rows = np.random.default_rng(0).normal(size=[12, 2])
  assert _search(rows, [1, 10]).mixture[0].num_components == 1
  assert 'num_components=10 cannot be fitted' in splits.refusal(
      _search, rows, [10])
