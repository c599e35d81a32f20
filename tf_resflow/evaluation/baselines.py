"""Density baselines: a Gaussian and a mixture of Gaussians.

Images are dequantised, x = (X + U) / n, and modelled in pixel space ("raw") or
after z = logit(alpha + (1 - 2 alpha) x). Settings maximise the mean log p of a
fifth of the training part. Those of vectors are in `mixtures`.
"""

from collections.abc import Sequence
import contextlib
import itertools
import logging
import warnings

import numpy as np
from scipy import special
from sklearn import base
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

_logger = logging.getLogger(__name__)


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


def _try_mixtures(candidates, rows, held_out, verbose):
  """Returns fitted mixtures with their mean log p of held-out rows."""
  tried: dict[_Mixture, float] = {}
  for candidate in candidates:
    if fitted := _fitted(candidate, rows):
      tried[fitted] = float(np.mean(fitted.score_samples(held_out)))
      if verbose:
        _logger.info('%d components, reg_covar %g: mean log p %.4f.',
                     fitted.n_components, fitted.reg_covar, tried[fitted])
  return tried


def _fitted(candidate, rows):
  """Fits a mixture; returns None where that fails."""
  # EM that stops early is still a density; settings that fail are not chosen.
  with (warnings.catch_warnings(action='ignore'),
        contextlib.suppress(ValueError)):
    return candidate.fit(rows)


def _best(tried, is_chosen, num_components, rows):
  """Returns the best of some mixtures, fitted to all rows, and its value.

  It raises if there is none.
  """
  chosen = list(filter(is_chosen, tried))
  errors.check(
      chosen, 'num_components', num_components,
      problem='cannot be fitted to these training examples')
  best = max(chosen, key=tried.__getitem__)
  return _fitted(base.clone(best), rows) or best, tried[best]


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
    verbose: 1 prints every setting that is tried, with its mean log p.
    column_maps: of vectors, specs of the types of their columns.

  Returns:
    `gaussian` and `gaussian_mixture`; for images in the better space, and with
    the suffix `_raw` in raw space, where some mass lies outside [0, 1].

  Raises:
    InvalidValueError: if images are invalid, or fewer than components.

  References:
    Theis et al., 2016, A Note on the Evaluation of Generative Models, 3.1.
  """
  if num_levels is None:
    return mixtures.fit_mixtures(
        train, test, coordinates.maps_of(column_maps, train), seed=seed,
        num_components=[num_components] if num_components else (),
        verbose=verbose)
  _check_images(train, test, num_levels)
  rows = _dequantize(train, num_levels, (seed, 0), num_noise_draws)
  test_rows = _dequantize(test, num_levels, (seed, 3), _NUM_TEST_DRAWS)
  scale = rows.shape[1] * np.log(2.0)
  offset = scale * np.log2(num_levels)
  settings = [*((None, factor) for factor in _RAW_FACTORS / (
      12.0 * num_levels**2)), *itertools.product(*_LOGIT_GRID.values())]
  # All draws of an image are in one part.
  part, held_out = next(model_selection.GroupShuffleSplit(
      1, test_size=0.2, random_state=seed).split(
          rows, groups=np.arange(len(rows)) % len(train)))
  results = {}
  for name, count in (
      ('gaussian', 1), ('gaussian_mixture', num_components or 10)):
    tried = _try_mixtures(
        [_Mixture(count, alpha, factor, random_state=seed)
         for alpha, factor in settings], rows[part], rows[held_out], verbose)
    for key, is_chosen in (
        (name, None), (f'{name}_raw', lambda m: m.alpha is None)):
      fitted, value = _best(tried, is_chosen, count, rows)
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


def _check_images(train, test, num_levels):
  for name, images in (('train', train), ('test', test)):
    errors.check(
        np.issubdtype(images.dtype, np.integer) and images.size > 0 and
        0 <= images.min() <= images.max() < num_levels and
        images.shape[1:] == train.shape[1:], name,
        f'{images.dtype} {images.shape}', 'integers from 0 to '
        f'{num_levels - 1}, [N, {", ".join(map(str, train.shape[1:]))}]')


def _dequantize(images, num_levels, seed, num_draws):
  """Returns x = (X + U) / n of all draws, `[num_draws N, D]`."""
  noise = [np.random.default_rng((*seed, i)).random(images.shape)
           for i in range(num_draws)]
  return ((images + noise) / num_levels).reshape([num_draws * len(images), -1])
