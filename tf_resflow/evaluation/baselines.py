"""Density baselines: a Gaussian and a mixture of Gaussians.

Images are dequantised, x = (X + U) / n, and modelled in pixel space ("raw") or
after z = logit(alpha + (1 - 2 alpha) x). Settings maximise the mean log p of a
fifth of the training part. Those of vectors are in `mixtures`.
"""

from collections.abc import Sequence
import warnings

import numpy as np
from scipy import special
from sklearn import mixture
from sklearn import model_selection
import threadpoolctl

from tf_resflow import errors
from tf_resflow.columns import coordinates
from tf_resflow.evaluation import mixtures

# Added to the variances; for raw images in multiples of the noise's variance.
_RAW_FACTORS = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
_LOGIT_GRID = {'alpha': [0.05, 0.01, 0.001], 'reg_covar': [0.01, 0.1, 0.3, 1.0]}
_NUM_TEST_DRAWS = 8


class _Mixture(mixture.GaussianMixture):
  """A Gaussian mixture q, with log p(x) = log q(z) + sum_d log dz_d/dx_d."""

  def __init__(self, n_components, alpha=None, reg_covar=0.0, random_state=0):
    super().__init__(n_components, reg_covar=reg_covar, max_iter=200,
                     random_state=random_state)
    self.alpha = alpha

  def fit(self, x, y=None):
    # Threads wait for one another in operations this small: where other
    # programs run as well, 10 to 40 times as long as one of them takes.
    with threadpoolctl.threadpool_limits(1):
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


def _search(grid, num_components, seed, rows, split):
  """Returns the best mixture of a grid, fitted to all rows, and its value.

  It raises if none can be fitted.
  """
  search = model_selection.GridSearchCV(
      _Mixture(num_components, random_state=seed), grid, cv=[split])
  # EM that stops early is still a density; settings that fail are not chosen.
  with warnings.catch_warnings(action='ignore'):
    try:
      search.fit(rows)
    except ValueError as error:
      raise errors.InvalidValueError(
          'num_components', num_components,
          problem='cannot be fitted to these training examples') from error
  return search.best_estimator_, search.best_score_


def fit_baselines(
    train: np.ndarray, test: np.ndarray, num_levels: int | None = None, *,
    num_components: int | None = None, num_noise_draws: int = 8,
    seed: int = 0, verbose: int = 0, column_maps: Sequence[str] = (),
) -> dict[str, mixtures.Baseline]:
  """Fits a Gaussian and a Gaussian mixture; vectors by `fit_mixtures`.

  Args:
    train: vectors `[M, D]`, or integers `[M, H, W, C]` in 0..num_levels - 1.
    test: `[N, ...]` likewise.
    num_levels: n of images; None for vectors.
    num_components: of the mixture; by default 10 for images, and chosen for
      vectors.
    num_noise_draws: dequantisation draws for every training image.
    seed: of the validation part, the noise and the start of EM.
    verbose: of vectors, 1 prints what is tried, with its mean log p.
    column_maps: of vectors, specs of the types of their columns.

  Returns:
    `gaussian` and `gaussian_mixture`; for images in the better space, and with
    the suffix `_raw` in raw space, where some mass lies outside [0, 1].

  Raises:
    InvalidValueError: if there are fewer images than components.

  References:
    Theis et al., 2016, A Note on the Evaluation of Generative Models, 3.1.
  """
  if num_levels is None:
    return mixtures.fit_mixtures(
        train, test, coordinates.maps_of(column_maps, train), seed=seed,
        num_components=[num_components] if num_components else (),
        verbose=verbose)
  rows = _dequantize(train, num_levels, (seed, 0), num_noise_draws)
  test_rows = _dequantize(test, num_levels, (seed, 3), _NUM_TEST_DRAWS)
  scale = rows.shape[1] * np.log(2.0)
  offset = scale * np.log2(num_levels)
  raw = {'alpha': [None], 'reg_covar': _RAW_FACTORS / (12.0 * num_levels**2)}
  # All draws of an image are in one part.
  split = next(model_selection.GroupShuffleSplit(
      1, test_size=0.2, random_state=seed).split(
          rows, groups=np.arange(len(rows)) % len(train)))
  results = {}
  for name, count in (
      ('gaussian', 1), ('gaussian_mixture', num_components or 10)):
    found = [_search(grid, count, seed, rows, split)
             for grid in (raw, _LOGIT_GRID)]
    best = max(found, key=lambda pair: pair[1])
    for key, (fitted, value) in ((name, best), (f'{name}_raw', found[0])):
      log_prob = np.reshape(
          fitted.score_samples(test_rows), [-1, len(test)]).mean(axis=0)
      results[key] = mixtures.Baseline(fitted, (offset - log_prob) / scale, {
          'validation_bits_per_dim': (offset - value) / scale,
          'settings': {
              'space': 'raw' if fitted.alpha is None else 'logit',
              'alpha': fitted.alpha, 'num_noise_draws': num_noise_draws,
              'seed': seed, 'num_components': count,
              'reg_covar': float(fitted.reg_covar),
              'converged': fitted.converged_}})
  return results


def _dequantize(images, num_levels, seed, num_draws):
  """Returns x = (X + U) / n of all draws, `[num_draws N, D]`."""
  noise = [np.random.default_rng((*seed, i)).random(images.shape)
           for i in range(num_draws)]
  return ((images + noise) / num_levels).reshape([num_draws * len(images), -1])
