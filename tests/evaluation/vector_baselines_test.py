"""Mixtures on vectors against closed forms."""

import numpy as np
import pytest
from scipy import stats

from tf_resflow import errors
from tf_resflow.evaluation import vector_baselines

_COVARIANCE = np.array([[4.0, 1.5], [1.5, 900.0]])


def _draw(num, seed):
  return np.random.default_rng(seed).multivariate_normal(
      [3.0, -200.0], _COVARIANCE, num)


def test_a_gaussian_in_the_units_of_the_data():
  test = _draw(4000, 1)
  fitted = vector_baselines.fit_vector_baseline(_draw(20_000, 0), test, 1)
  true = stats.multivariate_normal([3.0, -200.0], _COVARIANCE)
  np.testing.assert_allclose(fitted.nats, -true.logpdf(test), atol=0.15)
  report = fitted.report()
  assert report['nats'] == pytest.approx(true.entropy(), abs=0.05)
  assert report['nats_stderr'] == pytest.approx(1.0 / 4000**0.5, rel=0.1)


def test_two_components_find_two_clusters():
  rng = np.random.default_rng(0)
  x = rng.normal(size=[3000, 1]) + 20.0 * rng.integers(0, 2, [3000, 1])
  one, two = (vector_baselines.fit_vector_baseline(x[:2000], x[2000:], k)
              for k in (1, 2))
  # Each is a normal distribution, and which one costs log 2.
  expected = 0.5 * np.log(2 * np.pi * np.e) + np.log(2.0)
  assert two.report()['nats'] == pytest.approx(expected, abs=0.08)
  assert one.report()['nats'] > expected + 1.0


def test_regularisation_is_chosen_on_held_out_rows():
  """Many components on few rows want more of it than the least."""
  x = np.random.default_rng(0).normal(size=[120, 8])
  fitted = vector_baselines.fit_vector_baseline(x[:80], x[80:], 10)
  assert fitted.mixture.reg_covar > 1e-6


def test_too_few_rows():
  with pytest.raises(errors.InvalidValueError, match='num_components=10: exp'):
    vector_baselines.fit_vector_baseline(np.eye(8), np.eye(8), 10)


def test_table():
  fitted = vector_baselines.fit_vector_baseline(_draw(99, 0), _draw(20, 1), 1)
  text = vector_baselines.format_vector_baselines({'one': fitted.report()})
  name, nats, *_ = text.splitlines()[1].split()
  assert name == 'one' and float(nats) == pytest.approx(
      fitted.nats.mean(), abs=1e-4)
