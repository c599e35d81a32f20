"""The kernel distance: exactly unbiased, and its error by repetition."""

import itertools

import numpy as np
import pytest

from tf_resflow import evaluation

_POINTS = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
_P, _Q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.6, 0.3])


def _kernel(a, b):
  return (a @ b.T / a.shape[1] + 1.0)**3


def _exact(p, q):
  """The squared discrepancy of two distributions on `_POINTS`."""
  difference = p - q
  return difference @ _kernel(_POINTS, _POINTS) @ difference


def _expectation(estimate, p, q, num_x, num_y):
  """The mean over all possible sets of examples."""
  total = 0.0
  for x in itertools.product(range(3), repeat=num_x):
    for y in itertools.product(range(3), repeat=num_y):
      weight = np.prod(p[list(x)]) * np.prod(q[list(y)])
      total += weight * estimate(_POINTS[list(x)], _POINTS[list(y)])
  return total


def _biased(x, y):
  return _kernel(x, x).mean() + _kernel(y, y).mean() - 2 * _kernel(x, y).mean()


@pytest.mark.parametrize('num_x, num_y', [(2, 2), (3, 2)])
@pytest.mark.parametrize('q', [_Q, _P], ids=['different', 'equal'])
def test_unbiased_for_the_smallest_sets(num_x, num_y, q):
  exact = _exact(_P, q)
  found = _expectation(evaluation.squared_mmd, _P, q, num_x, num_y)
  assert found == pytest.approx(exact, rel=1e-12, abs=1e-12)
  wrong = _expectation(_biased, _P, q, num_x, num_y)
  assert wrong > exact + 0.1


def test_equal_distributions_give_both_signs():
  rng = np.random.default_rng(0)
  values = [evaluation.squared_mmd(*rng.normal(size=[2, 20, 4]))
            for _ in range(40)]
  assert 8 <= np.sum(np.array(values) < 0.0) <= 36


def test_subsets_partition_the_sets():
  """All examples of `x` but one are zero: one subset alone is different."""
  x, y = np.zeros([40, 2]), np.zeros([60, 2])
  x[7] = 3.0
  found = evaluation.squared_mmd_of_subsets(x, y, num_subsets=10, seed=1)
  # Of 4 with one that is not zero; k(0, 0) = k(0, x) = 1.
  assert found.mean == pytest.approx(0.0, abs=1e-12)
  # Two of them either meet in a subset, or do not.
  x[8] = 3.0
  pair = 2 * (10.0**3 - 1.0) / (4 * 3)
  means = {
      round(evaluation.squared_mmd_of_subsets(x, y, 10, seed).mean, 9)
      for seed in range(40)}
  assert means == {0.0, round(pair / 10, 9)}


def test_standard_error_is_that_of_repetitions():
  rng = np.random.default_rng(1)
  results = [
      evaluation.squared_mmd_of_subsets(
          rng.normal(size=[100, 3]), 0.5 + rng.normal(size=[80, 3]), seed=i)
      for i in range(60)]
  spread = np.std([r.mean for r in results], ddof=1)
  claimed = np.sqrt(np.mean([r.stderr**2 for r in results]))
  assert 0.7 < claimed / spread < 1.4
  assert results[0].num_examples == 10
  assert min(r.mean for r in results) > 0.0


def test_repeatable_and_blind_to_the_order():
  x = np.repeat(np.arange(5.0), 20)[:, np.newaxis]  # Sorted by class.
  first = evaluation.squared_mmd_of_subsets(x, x, seed=3)
  assert first == evaluation.squared_mmd_of_subsets(x, x, seed=3)
  assert first != evaluation.squared_mmd_of_subsets(x, x, seed=4)
  # Cut in the given order, the subsets would be constant: distance 0 and
  # standard error 0.
  assert first.stderr > 1.0


def test_what_is_refused():
  with pytest.raises(ValueError, match='2 or more examples each'):
    evaluation.squared_mmd(np.zeros([1, 2]), np.zeros([5, 2]))
  with pytest.raises(ValueError, match=r'arrays \(5, 2\) and \(5, 3\)'):
    evaluation.squared_mmd(np.zeros([5, 2]), np.zeros([5, 3]))
  with pytest.raises(ValueError, match='num_subsets=10: .* of the 19 example'):
    evaluation.squared_mmd_of_subsets(np.zeros([19, 2]), np.zeros([50, 2]))
