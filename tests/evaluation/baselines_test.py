"""Density baselines against closed forms, coding bounds and known numbers."""

import dataclasses

import numpy as np
import pytest
from scipy import stats
from sklearn import datasets as sklearn_datasets

from tf_resflow.evaluation import baselines

_Settings = baselines.BaselineSettings


def _images(num_images=60, num_levels=17, seed=0, shape=(2, 2, 1)):
  """Correlated integer images: a common brightness plus a little noise."""
  rng = np.random.RandomState(seed)
  brightness = rng.rand(num_images, 1, 1, 1)
  values = num_levels * (0.8 * brightness + 0.2 * rng.rand(num_images, *shape))
  return np.minimum(values, num_levels - 1).astype(np.uint8)


def _small_candidates(num_components, num_levels, **common):
  del num_levels
  return [
      _Settings(num_components, alpha=alpha, reg_covar=reg_covar, **common)
      for alpha in (None, 0.05) for reg_covar in (1e-3, 1e-1)
  ]


def _one_pixel_baseline(alpha, num_components=1):
  rng = np.random.RandomState(0)
  images = rng.choice([0, 1, 2, 8, 15, 16], p=[.4, .1, .1, .1, .1, .2],
                      size=[400, 1, 1, 1])
  return baselines.fit_baseline(
      images, 17, _Settings(num_components, alpha=alpha, reg_covar=1e-4))


def test_gaussian_equals_the_closed_form():
  images = _images()
  baseline = baselines.fit_baseline(
      images, 17, _Settings(reg_covar=1e-3, num_noise_draws=1, seed=3))
  # The same noise, through the moments of a Gaussian instead of EM.
  x = baselines._dequantize(images, 17, (3, baselines._TRAIN_STREAM, 0))
  covariance = np.cov(x.T, bias=True) + 1e-3 * np.eye(4)
  expected = stats.multivariate_normal(x.mean(0), covariance).logpdf(x)
  np.testing.assert_allclose(baseline.log_prob(x), expected, rtol=1e-9)
  bits = (4 * np.log2(17) - expected / np.log(2)) / 4
  np.testing.assert_allclose(baseline.bits_per_dim(x), bits, rtol=1e-9)


def test_bits_per_dim_of_the_uniform_density_is_log2_n():
  # A density of 1 on [0, 1] codes every integer in log2 n bits.
  baseline = _one_pixel_baseline(None)

  class Uniform:
    means_ = np.zeros([1, 1])

    def score_samples(self, x):
      return np.zeros(len(x))

  uniform = dataclasses.replace(baseline, mixture=Uniform())
  np.testing.assert_allclose(
      uniform.bits_per_dim(np.array([[0.2], [0.9]])), np.log2(17))


@pytest.mark.parametrize('alpha', [0.05, 0.001])
def test_log_det_is_that_of_the_logit(alpha):
  x = np.random.RandomState(1).uniform(0.02, 0.98, size=[5, 3])
  z, log_det = baselines._preprocess(x, alpha)
  s = alpha + (1 - 2 * alpha) * x
  np.testing.assert_allclose(1 / (1 + np.exp(-z)), s, rtol=1e-12)
  step = 1e-6
  derivative = (baselines._preprocess(x + step, alpha)[0]
                - baselines._preprocess(x - step, alpha)[0]) / (2 * step)
  np.testing.assert_allclose(log_det, np.log(derivative).sum(1), rtol=1e-7)


@pytest.mark.parametrize('alpha', [None, 0.05, 0.001])
def test_density_integrates_to_the_mass_inside_the_unit_interval(alpha):
  baseline = _one_pixel_baseline(alpha)
  x = (np.arange(200_000) + 0.5) / 200_000
  mass = np.mean(np.exp(baseline.log_prob(x[:, None])))
  ends = np.array([0.0, 1.0])
  if alpha is not None:
    s = alpha + (1 - 2 * alpha) * ends
    ends = np.log(s / (1 - s))
  mean = baseline.mixture.means_[0, 0]
  deviation = np.sqrt(baseline.mixture.covariances_[0, 0, 0])
  expected = np.diff(stats.norm.cdf(ends, mean, deviation))[0]
  np.testing.assert_allclose(mass, expected, rtol=1e-6)
  assert mass < 1.0
  if alpha is not None:
    # Without the log-det the same integral is far from it.
    z, _ = baselines._preprocess(x[:, None], alpha)
    wrong = np.mean(np.exp(baseline.mixture.score_samples(z)))
    assert abs(wrong - expected) > 0.3


@pytest.mark.parametrize('alpha', [None, 0.01])
@pytest.mark.parametrize('num_components', [1, 3])
def test_code_lengths_obey_kraft(alpha, num_components):
  # sum_X 2^-bits(X) <= 1: no baseline claims fewer bits than a code needs.
  baseline = _one_pixel_baseline(alpha, num_components)
  u = (np.arange(2000) + 0.5) / 2000
  bits = [
      np.mean(baseline.bits_per_dim(((level + u) / 17)[:, None]))
      for level in range(17)
  ]
  assert 0.1 < np.sum(np.exp2(-np.array(bits))) <= 1.0


def test_mixture_beats_the_gaussian_on_two_clusters():
  rng = np.random.RandomState(2)
  centres = np.where(rng.rand(300, 1, 1, 1) < 0.5, 2, 13)
  images = centres + rng.randint(-1, 2, size=[300, 2, 2, 1])
  bits = [
      baselines.fit_baseline(images[:200], 17, _Settings(k)
                             ).expected_bits_per_dim(images[200:]).mean()
      for k in (1, 2)
  ]
  assert bits[1] < bits[0] - 0.3
  # The source's entropy: 1 bit per image and log2 3 per pixel.
  assert bits[1] > np.log2(3) + 1 / 4


def test_more_draws_estimate_the_same_mean():
  baseline = baselines.fit_baseline(_images(), 17, _Settings(alpha=0.05))
  test = _images(seed=1)
  one = baseline.expected_bits_per_dim(test, num_draws=1)
  many = baseline.expected_bits_per_dim(test, num_draws=64)
  assert one.shape == many.shape == (60,)
  difference = one - many
  assert abs(difference.mean()) < 4 * stats.sem(difference)


def test_settings_come_from_the_training_split_alone():
  train = _images(100)
  results = [
      baselines.evaluate_baselines(
          train, test, 17, num_components=2, num_noise_draws=1,
          candidates_fn=_small_candidates)
      for test in (_images(20, seed=1), 16 - _images(20, seed=2))
  ]
  for name in results[0]:
    first, second = (r[name] for r in results)
    assert first.baseline.settings == second.baseline.settings
    assert first.validation_bits_per_dim == second.validation_bits_per_dim
    assert not np.array_equal(first.bits_per_dim, second.bits_per_dim)


def test_the_candidate_with_the_best_validation_score_is_taken():
  train, test = _images(100), _images(20, seed=1)
  results = baselines.evaluate_baselines(
      train, test, 17, num_components=2, num_noise_draws=1,
      candidates_fn=_small_candidates)
  assert list(results) == ['gaussian', 'gaussian_raw', 'gaussian_mixture',
                           'gaussian_mixture_raw']
  candidates = _small_candidates(2, 17, seed=0, num_noise_draws=1)
  scores = baselines.validation_scores(train, 17, candidates)
  best = results['gaussian_mixture']
  assert best.baseline.settings == candidates[np.argmin(scores)]
  assert best.validation_bits_per_dim == scores.min()
  raw = results['gaussian_mixture_raw']
  assert raw.baseline.settings == candidates[np.argmin(scores[:2])]
  # Reported for the refit on everything, not for the validation fit.
  refit = baselines.fit_baseline(train, 17, best.baseline.settings)
  np.testing.assert_array_equal(best.bits_per_dim,
                                refit.expected_bits_per_dim(test, seed=0))


def test_seed_fixes_everything():
  def evaluate(seed):
    return baselines.evaluate_baselines(
        _images(80), _images(10, seed=1), 17, num_components=2, seed=seed,
        num_noise_draws=1, candidates_fn=_small_candidates)

  first, again, other = evaluate(0), evaluate(0), evaluate(1)
  for name in first:
    np.testing.assert_array_equal(first[name].bits_per_dim,
                                  again[name].bits_per_dim)
    assert not np.array_equal(first[name].bits_per_dim,
                              other[name].bits_per_dim)


def test_a_candidate_that_cannot_be_fitted_never_wins():
  # The same image over and over in many components, without regularisation.
  images = np.zeros([20, 4, 4, 1], np.uint8)
  candidates = [_Settings(4, reg_covar=0.0, num_noise_draws=1),
                _Settings(4, reg_covar=1e-3, num_noise_draws=1)]
  scores = baselines.validation_scores(images, 17, candidates)
  assert scores[0] == np.inf and np.isfinite(scores[1])
  with pytest.raises(baselines.BaselineFitError, match='raise reg_covar'):
    baselines.fit_baseline(images, 17, candidates[0])
  with pytest.raises(baselines.BaselineFitError, match='no setting'):
    baselines.evaluate_baselines(
        images, images, 17,
        candidates_fn=lambda *unused_args, **unused_options: candidates[:1])


@pytest.mark.parametrize('settings, expected', [
    (_Settings(1, None, 2.9e-5), 2.945),
    (_Settings(10, None, 2.9e-4), 2.59),
    (_Settings(1, 0.01, 0.01), 2.27),
    (_Settings(10, 0.01, 0.1), 2.06),
])
def test_known_numbers_on_digits(settings, expected):
  digits = sklearn_datasets.load_digits().images.astype(np.uint8)[..., None]
  order = np.random.RandomState(0).permutation(len(digits))
  train, test = digits[order[:1437]], digits[order[1437:]]
  baseline = baselines.fit_baseline(train, 17, settings)
  bits = baseline.expected_bits_per_dim(test, num_draws=2)
  assert bits.shape == (360,)
  assert bits.mean() == pytest.approx(expected, abs=0.03)


def test_default_candidates_cover_both_spaces():
  candidates = baselines.default_candidates(3, 17, num_noise_draws=2, seed=5)
  assert {(c.num_components, c.num_noise_draws, c.seed)
          for c in candidates} == {(3, 2, 5)}
  assert {c.alpha for c in candidates} == {None, 0.05, 0.01, 0.001}
  assert len(set(candidates)) == len(candidates)


@pytest.mark.parametrize('train, test, message', [
    (_images().astype(np.float32), _images(), 'train=.*: expected integers'),
    (_images()[..., 0], _images(), 'train=.*: expected integers'),
    (_images(), _images(num_levels=40), 'test=.*: expected 0..16'),
    (_images(), _images(shape=(3, 3, 1)), 'test=images .* as those of train'),
    (_images(), _images()[:0], 'test=.*not empty'),
    (_images(8), _images(), 'num_components=10: expected at most 6'),
])
def test_bad_images_are_named(train, test, message):
  with pytest.raises(ValueError, match=message):
    baselines.evaluate_baselines(
        train, test, 17, num_components=10, num_noise_draws=1,
        candidates_fn=_small_candidates)


@pytest.mark.parametrize('options', [
    {'num_components': 0}, {'alpha': 0.5}, {'alpha': 0.0}, {'reg_covar': -1.0},
    {'reg_covar': float('nan')}, {'seed': -1}, {'num_noise_draws': 0},
])
def test_bad_settings_are_named(options):
  with pytest.raises(ValueError, match=next(iter(options))):
    _Settings(**options)


def test_log_prob_refuses_what_it_was_not_fitted_to():
  baseline = baselines.fit_baseline(_images(), 17, _Settings())
  with pytest.raises(ValueError, match='5 values per example'):
    baseline.log_prob(np.zeros([3, 5]))
  with pytest.raises(ValueError, match=r'expected numbers in \[0, 1\]'):
    baseline.log_prob(np.full([3, 4], 1.5))
  with pytest.raises(ValueError, match=r'expected numbers in \[0, 1\]'):
    baseline.log_prob(np.full([3, 4], np.nan))


def test_table():
  def entry(alpha):
    return {
        'bits_per_dim': 2.06, 'bits_per_dim_stderr': 0.01,
        'validation_bits_per_dim': 2.1, 'settings': {
            'space': 'raw' if alpha is None else 'logit', 'alpha': alpha,
            'reg_covar': 0.1}}

  lines = baselines.format_baselines(
      {'gaussian': entry(0.05), 'gaussian_raw': entry(None)}).splitlines()
  assert lines[0].split() == [
      'baseline', 'bits/dim', 'stderr', 'space', 'alpha', 'reg_covar',
      'validation']
  assert lines[1].split() == [
      'gaussian', '2.0600', '0.0100', 'logit', '0.05', '1.00e-01', '2.1000']
  assert lines[2].split()[3:5] == ['raw', '-']
  assert len({len(line) for line in lines}) == 1
