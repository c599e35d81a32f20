"""Means, paired differences, errors of estimators and ranks by closed forms."""

import numpy as np
import pytest
from scipy import stats

from tf_resflow import errors
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


def test_weighted_means():
  rng = np.random.default_rng(0)
  weight = rng.exponential(size=[2000, 50])
  values = rng.normal(size=[2000, 50])**3 * weight
  found = [statistics.mean_and_stderr(*pair)
           for pair in zip(values, weight, strict=True)]
  np.testing.assert_allclose(
      found[0].mean, np.sum(weight[0] * values[0]) / weight[0].sum())
  assert np.mean([f.stderr**2 for f in found]) == pytest.approx(
      np.var([f.mean for f in found]), rel=0.2)
  equal = statistics.mean_and_stderr(values[0], np.full(50, 3.0))
  np.testing.assert_allclose(
      equal[:2], statistics.mean_and_stderr(values[0])[:2])


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
      (statistics.stderr_per_example, [[[1.0, np.nan]]], '1 NaN')):
    with pytest.raises(ValueError, match=message):
      function(*values)


def test_stderr_per_example():
  """The error of a mean of R draws is that of one draw over sqrt(R)."""
  scales = np.array([0.5, 3.0, 0.0])
  draws = np.random.RandomState(6).randn(4000, 3) * scales + 7.0
  np.testing.assert_allclose(
      statistics.stderr_per_example(draws), scales / np.sqrt(4000), rtol=0.05)
  # One value is no estimate.
  np.testing.assert_array_equal(
      statistics.stderr_per_example([[1.0, 2.0]]), [0.0, 0.0])


_NUM_SIMULATIONS, _NUM_DRAWS = 200, 99
_NUM_TRIALS = 1000


def _coverage(band, num_simulations=_NUM_SIMULATIONS, num_draws=_NUM_DRAWS):
  """Returns the coverage of a band for other uniform ranks than its own."""
  ranks = np.random.default_rng(12_345).integers(
      0, num_draws + 1, [_NUM_TRIALS, num_simulations])
  return np.mean([band.holds(row) for row in ranks])


def test_ranks_by_hand():
  """There are two parameters; an equal draw is not smaller."""
  values = [[0.5, 3.0], [2.0, -1.0]]
  draws = [[[0.0, 1.0], [1.0, 2.0], [0.2, 9.0]],
           [[0.0, 1.0], [2.0, 2.0], [0.2, -9.0]]]
  np.testing.assert_array_equal(
      statistics.ranks(values, draws), [[2, 2], [2, 1]])
  for values, draws in (
      ([3], [2, 5]), ([3], [3]), ([3, 2], [3, 5]), ([3, 2], [3, 5, 1])):
    with pytest.raises(errors.InvalidValueError, match=(
        r'draws=\[.*\]: expected \[N, L, ...\] for values \[N, ...\] \[3')):
      statistics.ranks(np.zeros(values), np.zeros(draws))


@pytest.mark.parametrize('level', [0.99, 0.9, 0.5])
def test_the_band_holds_as_often_as_it_says(level):
  """Within the chance of 1000 trials and of the simulation of the band."""
  band, again = (
      statistics.simultaneous_band(
          _NUM_SIMULATIONS, _NUM_DRAWS, level)
      for _ in range(2))
  np.testing.assert_equal(again, band)
  found = _coverage(band)
  deviation = np.sqrt(level * (1.0 - level) * (1 / _NUM_TRIALS + 1 / 4000))
  assert abs(found - level) < 4 * deviation
  # The band of another level would be noticed.
  for wrong in {0.99, 0.9, 0.5} - {level}:
    assert abs(found - wrong) > 4 * deviation


def test_a_few_draws():
  band = statistics.simultaneous_band(50, 4)
  np.testing.assert_allclose(band.points, [0.2, 0.4, 0.6, 0.8])
  assert 0.97 < _coverage(band, 50, 4) <= 1.0
  assert not band.holds(np.zeros(50, int))
  assert (band.num_draws, band.level) == (4, 0.99)


def test_shares_of_all_ranks_once_are_the_points():
  """Up to those of the ranks that there are: rounding makes no difference."""
  for num_draws in (3, 29, 99, 199, 1000):
    band = statistics.simultaneous_band(20, num_draws)
    ranks = np.arange(num_draws + 1)
    shares = band.shares(np.random.default_rng(0).permutation(ranks))
    assert np.all(np.abs(shares - band.points) < 1 / (num_draws + 1))
    if num_draws < 100:  # Every point is one of a rank.
      np.testing.assert_allclose(shares, band.points, rtol=1e-12)
  # By hand.
  band = statistics.simultaneous_band(20, 3)
  np.testing.assert_allclose(band.points, [0.25, 0.5, 0.75])
  np.testing.assert_allclose(
      band.shares([0, 0, 1, 3, 3]), [2 / 5, 3 / 5, 3 / 5])


def _simulated_ranks(scale, shift=0.0, num_simulations=500):
  """Returns ranks for an exact posterior, or one of wrong scale or mean.

  A standard normal parameter, and a datum that is normal around it: the
  posterior has the mean y / 2 and the variance 1 / 2.
  """
  rng = np.random.default_rng(3)
  theta = rng.normal(size=num_simulations)
  y = theta + rng.normal(size=num_simulations)
  draws = (y / 2 + shift)[:, np.newaxis] + scale * np.sqrt(0.5) * rng.normal(
      size=[num_simulations, _NUM_DRAWS])
  return statistics.ranks(theta, draws)


def test_ranks_tell_a_posterior_from_wrong_ones():
  band = statistics.simultaneous_band(500, _NUM_DRAWS)
  assert band.holds(_simulated_ranks(1.0))
  for scale, shift in ((0.75, 0.0), (1.4, 0.0), (1.0, 0.2), (1.0, -0.2)):
    assert not band.holds(_simulated_ranks(scale, shift))


def test_levels_that_mean_nothing():
  for level in (0.0, 1.0, 1.5, float('nan')):
    with pytest.raises(errors.InvalidValueError, match=f'level={level}: expe'):
      statistics.simultaneous_band(10, 10, level)


def test_weighted_p_values_by_hand():
  np.testing.assert_allclose(
      statistics.conformal_p_values([-1.0, 0.5, 1.0], [1.0, 0.0], [1.0, 3.0]),
      [1.0 / 3.0, 2.5 / 3.0, 1.0])


def test_p_values_of_exchangeable_scores_are_uniform():
  """Any of the values may be the new one: each rank once."""
  values = np.random.default_rng(0).normal(size=20)
  found = [
      statistics.conformal_p_values(values[i:i + 1], np.delete(values, i))[0]
      for i in range(20)]
  np.testing.assert_allclose(np.sort(found), np.arange(1, 21) / 20)
  # With ties they are larger, never smaller.
  values = np.floor(values)
  tied = np.array([
      statistics.conformal_p_values(values[i:i + 1], np.delete(values, i))[0]
      for i in range(20)])
  assert all(np.mean(tied <= t) <= t + 1e-12 for t in np.arange(1, 21) / 20)
  with pytest.raises(errors.InvalidValueError, match='held_out='):
    statistics.conformal_p_values([0.0], [])
