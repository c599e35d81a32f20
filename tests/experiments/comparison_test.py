"""Errors of differences: closed forms, and coverage by simulation."""

import itertools

import numpy as np
import pytest
from scipy import stats

from tf_resflow.experiments import comparison


def test_sources_of_error():
  """Seeds alone, and examples alone, have the usual standard errors."""
  seeds, examples = np.array([0.1, 0.3, 0.8]), np.arange(10.0)
  found = comparison.of_seeds_and_examples(
      np.repeat(seeds[:, np.newaxis], 7, axis=1))
  assert found.stderr == pytest.approx(stats.sem(seeds))
  interval = stats.ttest_1samp(seeds, 0.0).confidence_interval(0.95)
  assert (found.low, found.high) == pytest.approx(tuple(interval))
  interval = stats.ttest_1samp(examples, 0.0).confidence_interval(0.95)
  for num_seeds in (1, 3):
    found = comparison.of_seeds_and_examples(np.tile(examples, [num_seeds, 1]))
    assert (found.low, found.high) == pytest.approx(tuple(interval))
    assert found.mean == pytest.approx(4.5)


def test_degrees_of_freedom_are_those_of_welch():
  """The difference of two means has two standard errors, too."""
  rng = np.random.default_rng(1)
  x, y = rng.normal(size=4), 3.0 * rng.normal(size=9)
  found = comparison.of_errors(
      x.mean() - y.mean(), stats.sem(x), 4, stats.sem(y), 9)
  interval = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
  assert (found.low, found.high) == pytest.approx(tuple(interval))


@pytest.mark.parametrize('of_seeds,of_examples', [
    (1.0, 0.0), (0.0, 8.0), (0.5, 4.0)])
def test_intervals_cover_95_percent_up_to_noise(of_seeds, of_examples):
  rng, num = np.random.default_rng(3), 2000
  shape = [num, 3, 50]
  values = (of_seeds * rng.normal(size=[num, 3, 1])
            + of_examples * rng.normal(size=[num, 1, 50])
            + 0.3 * rng.normal(size=shape))
  found = [comparison.of_seeds_and_examples(v) for v in values]
  misses = sum(f.is_decided for f in found)
  limit = 0.05 * num + 5.5 * np.sqrt(0.05 * 0.95 * num)
  assert misses <= limit
  # An error of examples alone misses the spread of seeds.
  if of_seeds:
    naive = np.abs(values.mean(axis=(1, 2))) > 1.96 * stats.sem(
        values.mean(axis=1), axis=1)
    assert naive.sum() > limit


def test_folds_have_the_corrected_error():
  """Equation (8) of Nadeau and Bengio."""
  values = np.array([1.0, 2.0, 4.0, 1.0, 2.0, 5.0])
  found = comparison.of_folds(values, num_folds=3)
  assert found.stderr == pytest.approx(np.sqrt((1 / 6 + 1 / 2) * np.var(
      values, ddof=1)))
  interval = stats.t.interval(0.95, 5, 2.5, found.stderr)
  assert (found.low, found.high) == pytest.approx(interval)


def test_intervals_of_folds_cover_95_percent_up_to_noise():
  """The mean of n rows predicts another as well as mu + sigma / sqrt(n)."""
  rng, num, num_rows, num_folds = np.random.default_rng(4), 1000, 40, 5
  constant = 1.0 / np.sqrt(num_rows * (num_folds - 1) / num_folds)
  misses, naive = 0, 0
  for x in rng.normal(size=[num, num_rows]):
    values = []
    for _, i in itertools.product(range(3), range(num_folds)):
      if i == 0:
        x = rng.permutation(x)
      test = x[i::num_folds]
      mean = (x.sum() - test.sum()) / (num_rows - len(test))
      values.append(np.mean((test - mean)**2 - (test - constant)**2))
    misses += comparison.of_folds(values, num_folds).is_decided
    naive += abs(np.mean(values)) > stats.t.ppf(0.975, 14) * stats.sem(values)
  limit = 0.05 * num + 5.5 * np.sqrt(0.05 * 0.95 * num)
  assert misses <= limit < naive


def test_rows_without_a_value_are_left_out():
  values = np.array([[1.0, 2.0, np.nan], [2.0, 5.0, 1.0], [0.0, 3.0, np.inf]])
  assert comparison.of_finalists(values) == comparison.of_seeds_and_examples(
      values[:, :2])
  assert comparison.of_finalists(
      [[1.0, np.inf], [2.0, 4.0]], num_folds=2) == comparison.of_folds(
          [1.0, 3.0], 2)
