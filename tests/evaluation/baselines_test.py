"""Density baselines against closed forms, coding bounds and known numbers."""

import numpy as np
import pytest
from scipy import stats
from sklearn import datasets as sklearn_datasets

from tf_resflow.evaluation import baselines

_COVARIANCE = np.array([[4.0, 1.5], [1.5, 900.0]])


@pytest.fixture(autouse=True)
def _few_settings(monkeypatch):
  """Reduces the settings for images, so that fits take less time."""
  monkeypatch.setattr(baselines, '_RAW_FACTORS', np.array([1.0, 100.0]))
  monkeypatch.setattr(
      baselines, '_LOGIT_GRID', {'alpha': [0.05], 'reg_covar': [0.01, 0.3]})


def _images(num_images=60, num_levels=17, seed=0, shape=(2, 2, 1)):
  """Correlated integer images: a common brightness plus a little noise."""
  rng = np.random.RandomState(seed)
  brightness = rng.rand(num_images, 1, 1, 1)
  values = num_levels * (0.8 * brightness + 0.2 * rng.rand(num_images, *shape))
  return np.minimum(values, num_levels - 1).astype(np.uint8)


def _fit_images(train, test, seed=0):
  return baselines.fit_baselines(
      train, test, 17, num_components=2, num_noise_draws=1, seed=seed)


def test_gaussian_equals_the_closed_form():
  train, test = _images(seed=1), _images()
  found = _fit_images(train, test, seed=3)['gaussian_raw']
  # The same noise, through the moments of a Gaussian instead of EM.
  x = baselines._dequantize(train, 17, (3, 0), 1)
  settings = found.report()['settings']
  law = stats.multivariate_normal(
      x.mean(0), np.cov(x.T, bias=True) + settings['reg_covar'] * np.eye(4))
  expected = law.logpdf(baselines._dequantize(test, 17, (3, 3), 8))
  np.testing.assert_allclose(
      found.values, (4 * np.log2(17) - expected.reshape([8, 60]).mean(axis=0) /
                     np.log(2)) / 4, rtol=1e-9)
  assert (settings['space'], settings['alpha']) == ('raw', None)


@pytest.mark.parametrize('alpha', [None, 0.05])
def test_density_integrates_to_the_mass_inside_the_unit_interval(alpha):
  images = np.random.RandomState(0).choice(
      [0, 1, 2, 8, 15, 16], p=[.4, .1, .1, .1, .1, .2], size=[400, 1, 1, 1])
  mixture = baselines._Mixture(1, alpha, 1e-4).fit(
      baselines._dequantize(images, 17, (0, 0), 8))
  x = (np.arange(200_000) + 0.5) / 200_000
  mass = np.mean(np.exp(mixture.score_samples(x[:, None])))
  ends = np.array([0.0, 1.0])
  if alpha is not None:
    s = alpha + (1 - 2 * alpha) * ends
    ends = np.log(s / (1 - s))
  expected = np.diff(stats.norm.cdf(
      ends, mixture.means_[0, 0], np.sqrt(mixture.covariances_[0, 0, 0])))[0]
  np.testing.assert_allclose(mass, expected, rtol=1e-6)
  assert mass < 1.0


def test_mixture_beats_the_gaussian_on_two_clusters():
  rng = np.random.RandomState(2)
  centres = np.where(rng.rand(300, 1, 1, 1) < 0.5, 2, 13)
  images = centres + rng.randint(-1, 2, size=[300, 2, 2, 1])
  results = _fit_images(images[:200], images[200:])
  one, two = (results[name].values.mean()
              for name in ('gaussian', 'gaussian_mixture'))
  # The source's entropy: 1 bit per image and log2 3 per pixel.
  assert np.log2(3) + 1 / 4 < two < one - 0.3


def test_settings_come_from_the_training_split_alone():
  train = _images(30)
  first, second, again, other = (
      _fit_images(train, test, seed) for test, seed in (
          (_images(20, seed=1), 0), (16 - _images(20, seed=2), 0),
          (_images(20, seed=1), 0), (_images(20, seed=1), 1)))
  assert list(first) == ['gaussian', 'gaussian_raw', 'gaussian_mixture',
                         'gaussian_mixture_raw']
  for name, found in first.items():
    assert found.details == second[name].details
    assert not np.array_equal(found.values, second[name].values)
    # The seed fixes everything.
    np.testing.assert_array_equal(found.values, again[name].values)
    assert not np.array_equal(found.values, other[name].values)


def test_the_best_on_validation_is_taken(monkeypatch):
  monkeypatch.setattr(
      baselines, '_LOGIT_GRID', {'alpha': [0.05], 'reg_covar': [1e3, 0.1]})
  results = _fit_images(_images(100), _images(20, seed=1))
  raw, best = results['gaussian_raw'], results['gaussian']
  assert best.details['settings']['reg_covar'] != 1e3
  assert (best.details['validation_bits_per_dim']
          <= raw.details['validation_bits_per_dim'])
  monkeypatch.setattr(
      baselines, '_LOGIT_GRID', {'alpha': [0.05], 'reg_covar': [1e3]})
  results = _fit_images(_images(100), _images(20, seed=1))
  assert results['gaussian'].details == results['gaussian_raw'].details


@pytest.mark.parametrize('num_components, alpha, reg_covar, expected', [
    (1, None, 2.9e-5, 2.945), (1, 0.01, 0.01, 2.27),
    pytest.param(10, 0.01, 0.1, 2.06, marks=pytest.mark.slow)])
def test_known_numbers_on_digits(num_components, alpha, reg_covar, expected):
  """With the one setting that is the best of its space."""
  digits = sklearn_datasets.load_digits().images.astype(np.uint8)[..., None]
  order = np.random.RandomState(0).permutation(len(digits))
  x, test = (baselines._dequantize(digits[part], 17, (0, i), 8) for i, part in
             enumerate((order[:1437], order[1437:])))
  score = baselines._Mixture(num_components, alpha, reg_covar).fit(x).score(
      test)
  assert np.log2(17) - score / 64 / np.log(2) == pytest.approx(
      expected, abs=0.03)


def test_vectors_in_the_units_of_the_data():
  x = np.random.default_rng(0).multivariate_normal(
      [3.0, -200.0], _COVARIANCE, 24_000)
  train, test = x[:20_000], x[20_000:]
  results = baselines.fit_baselines(train, test, num_components=1)
  assert list(results) == ['gaussian', 'gaussian_mixture']
  true = stats.multivariate_normal([3.0, -200.0], _COVARIANCE)
  for found in results.values():
    np.testing.assert_allclose(found.values, -true.logpdf(test), atol=0.15)
    report = found.report()
    assert report['nats'] == pytest.approx(true.entropy(), abs=0.05)
    assert report['nats_stderr'] == pytest.approx(1.0 / 4000**0.5, rel=0.1)
    assert report.keys() == {
        'nats', 'nats_stderr', 'num_examples', 'num_components', 'reg_covar',
        'covariance_type', 'columns', 'converged', 'validation_nats'}


def test_too_few_images():
  with pytest.raises(
      ValueError, match='num_components=1 cannot be fitted to these'):
    _fit_images(_images(2), _images())
