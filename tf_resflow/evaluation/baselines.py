"""Density baselines: a Gaussian and a mixture of Gaussians.

Images are dequantised, x = (X + U) / n, and modelled in pixel space ("raw") or
after z = logit(alpha + (1 - 2 alpha) x); columns of vectors are standardised.
Settings maximise the mean log p of a held-out fifth of the training part.
"""

from typing import Any, NamedTuple
import warnings

import numpy as np
from scipy import special
from sklearn import mixture
from sklearn import model_selection

from tf_resflow import errors
from tf_resflow.evaluation import statistics

# Added to the variances; for raw images in multiples of the noise's variance.
_RAW_FACTORS = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
_LOGIT_GRID = {'alpha': [0.05, 0.01, 0.001], 'reg_covar': [0.01, 0.1, 0.3, 1.0]}
_VECTOR_GRID = {'reg_covar': [1e-6, 1e-4, 1e-3, 1e-2, 1e-1]}
_NUM_TEST_DRAWS = 8


class _Mixture(mixture.GaussianMixture):
  """A Gaussian mixture q, with log p(x) = log q(z) + sum_d log dz_d/dx_d."""

  def __init__(self, n_components, alpha=None, reg_covar=0.0, random_state=0):
    super().__init__(n_components, reg_covar=reg_covar, max_iter=200,
                     random_state=random_state)
    self.alpha = alpha

  def fit(self, x, y=None):
    return super().fit(self._preprocess(x)[0])

  def score_samples(self, x):
    z, log_det = self._preprocess(x)
    return super().score_samples(z) + log_det

  def _preprocess(self, x):
    if self.alpha is None:
      return x, 0.0
    s = self.alpha + (1.0 - 2.0 * self.alpha) * x
    return special.logit(s), np.sum(
        np.log1p(-2.0 * self.alpha) - np.log(s) - np.log1p(-s), axis=1)


class Baseline(NamedTuple):
  """A fitted mixture and its values on the test part.

  Attributes:
    mixture: its `score_samples(x)` is log p(x), of dequantised images or
      standardised vectors `[N, D]`.
    values: `[N]`, nats in the units of the data, or bits/dim, means of 8 draws.
    facts: further fields of the report.
  """

  mixture: mixture.GaussianMixture
  values: np.ndarray
  facts: dict[str, Any]

  def report(self) -> dict[str, Any]:
    """Returns the results, a dict for JSON."""
    unit = 'bits_per_dim' if 'settings' in self.facts else 'nats'
    return {**statistics.mean_and_stderr(self.values).report(unit),
            'num_examples': len(self.values), **self.facts}


def fit_baselines(
    train: np.ndarray, test: np.ndarray, num_levels: int | None = None, *,
    num_components: int = 10, num_noise_draws: int = 8, seed: int = 0,
    verbose: int = 0) -> dict[str, Baseline]:
  """Fits a Gaussian and a Gaussian mixture.

  Args:
    train: vectors `[M, D]`, or integers `[M, H, W, C]` in 0..num_levels - 1.
    test: `[N, ...]` likewise.
    num_levels: n of images; None for vectors.
    num_components: of the mixture.
    num_noise_draws: dequantisation draws for every training image.
    seed: of the validation part, the noise and the start of EM.
    verbose: 1 prints every setting that is tried, with its mean log p.

  Returns:
    `gaussian` and `gaussian_mixture`; for images in the better space, and with
    the suffix `_raw` in raw space, where some mass lies outside [0, 1].

  Raises:
    InvalidValueError: if images are invalid, or fewer than components.

  References:
    Theis et al., 2016, A Note on the Evaluation of Generative Models, 3.1.
  """
  if num_levels is None:
    train, test = np.float64(train), np.float64(test)
    mean, std = train.mean(axis=0), train.std(axis=0)
    rows, test_rows = (train - mean) / std, (test - mean) / std
    offset, scale, grids = np.sum(np.log(std)), 1.0, [_VECTOR_GRID]
  else:
    for name, images in (('train', train), ('test', test)):
      errors.check(
          np.issubdtype(images.dtype, np.integer) and images.size > 0 and
          0 <= images.min() <= images.max() < num_levels and
          images.shape[1:] == train.shape[1:], name,
          f'{images.dtype} {images.shape}', 'integers from 0 to '
          f'{num_levels - 1}, [N, {", ".join(map(str, train.shape[1:]))}]')
    rows = _dequantize(train, num_levels, (seed, 0), num_noise_draws)
    test_rows = _dequantize(test, num_levels, (seed, 3), _NUM_TEST_DRAWS)
    scale = rows.shape[1] * np.log(2.0)
    offset = scale * np.log2(num_levels)
    grids = [{'reg_covar': _RAW_FACTORS / (12.0 * num_levels**2)}, _LOGIT_GRID]
  results, parts = {}, model_selection.GroupShuffleSplit(
      1, test_size=0.2, random_state=seed)
  for name, count in (('gaussian', 1), ('gaussian_mixture', num_components)):
    searches = [model_selection.GridSearchCV(
        _Mixture(count, random_state=seed), grid, verbose=3 * verbose, cv=parts)
                for grid in grids]
    # EM that stops early is still a density; settings that fail are not chosen.
    with warnings.catch_warnings(action='ignore'):
      try:
        for search in searches:  # All draws of an image are in one part.
          search.fit(rows, groups=np.arange(len(rows)) % len(train))
      except ValueError as error:
        raise errors.InvalidValueError(
            'num_components', count, problem='cannot be fitted to '
            f'{len(train)} training examples') from error
    best = {name: max(searches, key=lambda search: search.best_score_)}
    if num_levels:
      best[f'{name}_raw'] = searches[0]
    for key, search in best.items():
      fitted = search.best_estimator_
      log_prob = np.reshape(
          fitted.score_samples(test_rows), [-1, len(test)]).mean(axis=0)
      fields = {'num_components': count, 'reg_covar': float(fitted.reg_covar),
                'converged': fitted.converged_}
      results[key] = Baseline(fitted, (offset - log_prob) / scale, {
          'validation_bits_per_dim': (offset - search.best_score_) / scale,
          'settings': {
              'space': 'raw' if fitted.alpha is None else 'logit',
              'alpha': fitted.alpha, 'num_noise_draws': num_noise_draws,
              'seed': seed, **fields}} if num_levels else fields)
  return results


def _dequantize(images, num_levels, seed, num_draws):
  """Returns x = (X + U) / n of all draws, `[num_draws N, D]`."""
  noise = [np.random.default_rng((*seed, i)).random(images.shape)
           for i in range(num_draws)]
  return ((images + noise) / num_levels).reshape([num_draws * len(images), -1])
