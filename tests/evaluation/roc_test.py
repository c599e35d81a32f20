"""The area under a ROC curve against pairs, closed forms and resampling."""

import numpy as np
import pytest
from scipy import stats

from tf_resflow.evaluation import roc


def _pairs(inside, outside):
  """AUROC and its DeLong error from all pairs."""
  psi = np.heaviside(np.subtract.outer(inside, outside), 0.5)
  error = np.hypot(*(
      np.std(psi.mean(axis=axis), ddof=1) / np.sqrt(psi.shape[1 - axis])
      for axis in (0, 1)))
  return psi.mean(), error


@pytest.mark.parametrize('num_levels', [3, 10, 10**6])
def test_all_pairs_with_ties(num_levels):
  rng = np.random.default_rng(num_levels)
  inside = rng.integers(1, num_levels + 1, 23)
  outside = rng.integers(0, num_levels, 31)
  found = roc.auroc(inside, outside)
  np.testing.assert_allclose(found, _pairs(inside, outside), rtol=1e-12)
  # The other way round, and of ranks alone.
  back = roc.auroc(outside, inside)
  np.testing.assert_allclose(
      back, [1.0 - found.value, found.stderr], rtol=1e-12)
  np.testing.assert_allclose(
      roc.auroc(np.exp(inside / num_levels), np.exp(outside / num_levels)),
      found, rtol=1e-12)


def test_below_one_half_where_the_others_score_higher():
  assert roc.auroc([0.0, 1.0, 2.0], [3.0, 4.0]).value == 0.0
  assert roc.auroc([3.0, 4.0], [0.0, 1.0, 2.0]).value == 1.0
  assert roc.auroc([1.0, 1.0], [1.0, 1.0]) == (0.5, 0.0)


@pytest.mark.parametrize('distance', [-0.5, 0.0, 1.0, 2.0])
def test_gaussians(distance):
  """AUROC = Phi(d / sqrt 2), and the variance of its components."""
  m, n = 6000, 4000
  rng = np.random.default_rng(3)
  found = roc.auroc(distance + rng.normal(size=m), rng.normal(size=n))
  expected = stats.norm.cdf(distance / np.sqrt(2))
  # V = Phi(X): E V^2 is the probability that two others lie below X.
  limit = distance / np.sqrt(2)
  second = stats.multivariate_normal.cdf(
      [limit, limit], cov=[[1.0, 0.5], [0.5, 1.0]])
  stderr = np.sqrt((second - expected**2) * (1 / m + 1 / n))
  assert abs(found.value - expected) < 4 * stderr
  assert found.stderr == pytest.approx(stderr, rel=0.04)


def test_bootstrap():
  """Of unequal sizes and spreads, and with ties."""
  rng = np.random.default_rng(0)
  inside = np.round(2.0 + 3.0 * rng.normal(size=70), 0)
  outside = np.round(rng.normal(size=40), 0)
  values = [
      _pairs(rng.choice(inside, 70), rng.choice(outside, 40))[0]
      for _ in range(3000)]
  found = roc.auroc(inside, outside)
  # Resampling leaves a factor of about 1 - 1/n of the variance.
  assert found.stderr == pytest.approx(np.std(values), rel=0.06)
  # That of independent pairs would be another.
  assert np.sqrt(found.value * (1 - found.value) / 40) > 1.3 * found.stderr


@pytest.mark.parametrize(('inside', 'outside', 'said'), [
    ([1.0], [1.0, 2.0], r'inside=scores \(1,\): expected \[N\], 2 or more'),
    ([1.0, 2.0], [[1.0, 2.0]], r'outside=scores \(1, 2\): expected'),
    ([1.0, 2.0], [np.nan, np.inf, 0.0], 'outside=2 NaN or infinite of 3'),
])
def test_what_is_no_score(inside, outside, said):
  with pytest.raises(ValueError, match=said):
    roc.auroc(inside, outside)


def test_estimator_error_is_that_of_other_draws():
  rng = np.random.default_rng(1)
  scores = 1.0 + rng.normal(size=60), rng.normal(size=50)

  def draw():
    # A part of the noise is shared by all, as a number of terms is.
    return [s + 0.7 * rng.normal(size=[16, len(s)]) + rng.normal(size=[16, 1])
            for s in scores]

  values = [roc.auroc(*(r.mean(axis=0) for r in draw())).value
            for _ in range(300)]
  errors = [roc.estimator_stderr(*draw()) for _ in range(40)]
  assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(
      np.std(values), rel=0.15)


def test_scores_that_are_no_estimates():
  assert roc.estimator_stderr(np.ones([1, 3]), np.ones([1, 2])) == 0.0
  with pytest.raises(ValueError, match='outside=4 repeats: expected 5, as ins'):
    roc.estimator_stderr(np.ones([5, 3]), np.ones([4, 2]))
