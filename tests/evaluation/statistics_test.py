"""Means, paired differences and estimator errors against closed forms."""

import numpy as np
import pytest
from scipy import stats

from tf_resflow.evaluation import statistics


def test_paired_difference_matches_the_paired_t_test():
  rng = np.random.RandomState(2)
  b = 3.0 + rng.randn(200)
  a = b - 0.02 + 0.05 * rng.randn(200)
  result = statistics.paired_difference(a, b)
  expected = stats.ttest_rel(a, b)
  np.testing.assert_allclose(result.num_stderrs, expected.statistic, rtol=1e-10)
  np.testing.assert_allclose(result.mean, np.mean(a - b), rtol=1e-12)


def test_paired_difference_without_spread():
  text = str(statistics.paired_difference([1.0, 2.0, 3.0], [2.0, 3.0, 4.5]))
  assert text == ('a is below b by 1.1667 +- 0.1667 '
                  '(7.0 standard errors, 3 pairs)')
  same = statistics.paired_difference([1.0, 2.0], [1.0, 2.0])
  assert (same.mean, same.num_stderrs) == (0.0, 0.0)
  lower = statistics.paired_difference([0.0, 1.0], [1.0, 2.0])
  assert lower.num_stderrs == -np.inf


def test_estimator_stderr_sees_an_error_shared_by_the_batch():
  # Every repeat moves all examples together, as a shared truncation does.
  rng = np.random.RandomState(4)
  shared = 0.3 * rng.randn(400, 1)
  repeats = shared + 0.1 * rng.randn(400, 500)
  expected = 0.3 / np.sqrt(400)
  assert statistics.estimator_stderr(repeats) == pytest.approx(expected,
                                                               rel=0.15)


def test_summarize_repeats_splits_the_two_errors():
  rng = np.random.RandomState(5)
  truth = rng.randn(300)
  repeats = truth + 0.2 * rng.randn(16, 1) + 0.1 * rng.randn(16, 300)
  result = statistics.summarize_repeats(repeats)
  assert (result.num_examples, result.num_repeats) == (300, 16)
  np.testing.assert_allclose(result.mean, np.mean(repeats), rtol=1e-12)
  np.testing.assert_allclose(result.stderr, stats.sem(repeats.mean(0)),
                             rtol=1e-12)
  assert result.stderr == pytest.approx(stats.sem(truth), rel=0.01)
  assert result.estimator_stderr == statistics.estimator_stderr(repeats)


def test_total_stderr_covers_examples_and_repeats():
  """Means of other examples and other repeats scatter no more than it says."""
  rng = np.random.RandomState(6)
  summaries = [
      statistics.summarize_repeats(
          rng.randn(50) + 0.4 * rng.randn(16, 1) + 0.1 * rng.randn(16, 50))
      for _ in range(300)]
  spread = np.std([s.mean for s in summaries])
  total = np.mean([s.total_stderr for s in summaries])
  assert 0.9 * spread < total < 1.2 * spread


def test_bad_input_is_named():
  for function, values, message in (
      (statistics.mean_and_stderr, [[1.0]], r'\(1,\): expected \[N\], 2'),
      (statistics.mean_and_stderr, [[[1.0, 2.0]]], r'\[N\]'),
      (statistics.mean_and_stderr, [[1.0, np.nan, np.inf]], '2 NaN or'),
      (statistics.paired_difference, [[1.0, 2.0], [1.0]], 'same examples'),
      (statistics.estimator_stderr, [np.zeros([7, 5])], '7 of them'),
      (statistics.estimator_stderr, [np.zeros([8])], r'\[R, N\]'),
      (statistics.deviation_of_means, [[[1.0, np.nan]]], '1 NaN')):
    with pytest.raises(ValueError, match=message):
      function(*values)


def test_deviation_of_means():
  """That of a mean of R draws: smaller than that of a draw by sqrt(R)."""
  scales = np.array([0.5, 3.0, 0.0])
  draws = np.random.RandomState(6).randn(4000, 3) * scales + 7.0
  np.testing.assert_allclose(
      statistics.deviation_of_means(draws), scales / np.sqrt(4000), rtol=0.05)
  # One value is no estimate.
  np.testing.assert_array_equal(
      statistics.deviation_of_means([[1.0, 2.0]]), [0.0, 0.0])
