"""Density baselines against closed forms, coding bounds and known numbers."""

import itertools
import time

import numpy as np
import pytest
from scipy import integrate
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


def test_a_setting_that_cannot_be_fitted_never_wins(monkeypatch):
  # The same image over and over in many components, without regularisation.
  x = np.repeat(np.eye(4), 10, axis=0)
  monkeypatch.setattr(baselines, '_VECTOR_FACTORS', (0.0, 1e-3))
  found = baselines.fit_baselines(x, x, num_components=4)['gaussian_mixture']
  assert found.report()['reg_covar'] == 1e-3
  monkeypatch.setattr(baselines, '_VECTOR_FACTORS', (0.0,))
  with pytest.raises(ValueError, match='num_components=1 cannot be fitted'):
    baselines.fit_baselines(x, x)


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
        'converged', 'validation_nats'}


def _blobs(num_rows, seed):
  rng = np.random.default_rng(seed)
  return rng.normal(size=[num_rows, 2]) + 8.0 * rng.integers(2, size=[
      num_rows, 1])


def test_a_mixture_of_two_blobs():
  """Log-densities of coordinates are those of the data, by their log-dets."""
  train, validation, test = map(_blobs, (400, 200, 300), range(3))
  found = baselines.fit_mixtures(
      np.exp(0.01 * train), np.exp(0.01 * test), np.exp(0.01 * validation),
      log_dets=(0.0, np.sum(0.01 * test + np.log(0.01), axis=1), 0.0))
  mixture = found['gaussian_mixture']
  assert mixture.details['num_components'] == 2
  true = np.logaddexp(*(
      stats.norm(mean).logpdf(test).sum(axis=1) for mean in (0, 8))) - np.log(2)
  np.testing.assert_allclose(mixture.values.mean(), -true.mean(), atol=0.05)
  assert found['gaussian'].values.mean() > mixture.values.mean() + 0.5
  assert 'not_tried' not in mixture.details


def test_grids_and_real_numbers_have_comparable_nats():
  """Per unit of the file, whatever the step; of the same rounded numbers."""
  x = np.round(
      np.random.default_rng(0).normal(5.0, 0.3, [4000, 1]), 2)
  values = [baselines.fit_columns(
      types, x[:3000], x[3000:], x[:3000], num_components=[1]
  )['gaussian'].values for types in (['signed_integer:0.01'], ['real'])]
  np.testing.assert_allclose(*values, atol=0.02)
  np.testing.assert_allclose(
      values[0].mean(), stats.norm(5.0, 0.3).entropy(), atol=0.05)


def test_cells_have_the_mean_density_of_their_points():
  """Against the integral over the cell of the fitted density."""
  train, test = _blobs(300, 0), np.floor(_blobs(20, 1))[:, np.newaxis]
  points = np.stack(np.meshgrid(*[(np.arange(40) + 0.5) / 40] * 2), axis=-1)
  cells = test + points.reshape([-1, 2])
  # In coordinates z = x / 2.
  found = baselines.fit_mixtures(
      train / 2, cells / 2, train[:, np.newaxis] / 2,
      log_dets=(
          0.0, np.full(cells.shape[:2], 2 * np.log(0.5)), 2 * np.log(0.5)),
      num_components=[2])
  mean, std = train.mean(axis=0), train.std(axis=0)
  fitted = found['gaussian_mixture'].mixture
  laws = [stats.multivariate_normal(mean + std * m, c * np.outer(std, std))
          for m, c in zip(fitted.means_, fitted.covariances_, strict=True)]
  for i in range(3):
    expected, _ = integrate.dblquad(
        lambda y, x: sum(w * law.pdf([x, y]) for w, law in zip(
            fitted.weights_, laws, strict=True)),
        test[i, 0, 0], test[i, 0, 0] + 1, test[i, 0, 1], test[i, 0, 1] + 1,
        epsrel=1e-6)
    np.testing.assert_allclose(
        found['gaussian_mixture'].values[i], -np.log(expected), atol=2e-3)
  # A validation row of one point is that point.
  np.testing.assert_allclose(
      found['gaussian_mixture'].details['validation_nats'],
      -np.log(sum(w * law.pdf(train) for w, law in zip(
          fitted.weights_, laws, strict=True))).mean())


def test_held_out_training_rows_are_in_the_units_of_the_data():
  y = np.random.default_rng(0).normal(3.0, 0.4, [2000, 1])
  train, test = np.split(np.floor(np.exp(y)), [1500])
  found = baselines.fit_columns(['integer'], train, test)['gaussian']
  # 5.5 standard errors.
  assert found.details['validation_nats'] == pytest.approx(
      np.mean(found.values), abs=0.3)


def test_the_rows_and_the_time_that_it_takes(monkeypatch):
  train = _blobs(200, 0)
  monkeypatch.setattr(baselines, '_VECTOR_FACTORS', (1e-6, 1e-2))
  ticks = itertools.chain([0.0, 4.0, 9.0], itertools.repeat(10.0))
  monkeypatch.setattr(time, 'monotonic', ticks.__next__)
  monkeypatch.setattr(baselines, '_MAX_ROWS', 50)
  found = baselines.fit_mixtures(train, train, train, max_seconds=10.0)
  assert found['gaussian_mixture'].details['num_components'] == 2
  assert found['gaussian_mixture'].details['not_tried'] == [3, 5, 10]
  # Of some rows only.
  rows = train[np.random.default_rng(0).permutation(200)[:50]]
  np.testing.assert_allclose(
      found['gaussian'].values, -stats.multivariate_normal(
          rows.mean(0), np.cov(rows.T, bias=True)).logpdf(train), rtol=1e-3)
  # Without time, what has to be fitted is.
  found = baselines.fit_mixtures(
      train, train, train, num_components=[3, 4], max_seconds=0.0)
  assert found['gaussian_mixture'].details['num_components'] == 3
  assert found['gaussian_mixture'].details['not_tried'] == [3, 4]


def test_bad_vectors_are_named():
  x = np.random.default_rng(0).normal(size=[20, 2])
  for rows, message in (
      ((x[:, 0], x), r'train=an array \[20\]: expected finite numbers'),
      ((x, x[:, :1]), r'test=an array \[20, 1\]: .* \[N, 2\]'),
      ((x, x, x * np.inf), 'validation=.*finite numbers'),
      ((x * [1, 0], x), 'train=a constant column 1: expected columns')):
    with pytest.raises(ValueError, match=message):
      baselines.fit_mixtures(*rows)


def test_bad_images_are_named():
  for train, test, message in (
      (np.float32(_images()), _images(), 'train=float32 .*: expected int'),
      (_images(), _images(num_levels=40), 'test=.*: expected integers from 0'),
      (_images(), _images(shape=(3, 3, 1)), r'test=.* 16, \[N, 2, 2, 1\]'),
      (_images(), _images()[:0], 'test=.*expected integers'),
      (_images(2), _images(), 'num_components=1 cannot be fitted to these')):
    with pytest.raises(ValueError, match=message):
      _fit_images(train, test)
