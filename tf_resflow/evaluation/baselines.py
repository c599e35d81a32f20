"""Gaussian and Gaussian-mixture density baselines, in bits/dim.

What a flow has to beat. A full-covariance Gaussian or mixture is fitted to
dequantised training images x = (X + U) / n, either as they are ("raw") or
after the logit transform z = logit(alpha + (1 - 2 alpha) x), whose log-det
is part of the reported density:

  log p(x) = log q(z) + sum_d log dz_d/dx_d,
  bits/dim = -(log p(x) - D log n) / (D log 2).

The protocol: every setting (space, alpha, covariance regularisation) is
chosen on a validation part of the training split; the chosen one is refitted
on the whole training split; the test split is touched once.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import itertools
import logging
from typing import Any
import warnings

import numpy as np
from sklearn import exceptions
from sklearn import mixture

from tf_resflow import errors
from tf_resflow.evaluation import statistics

_logger = logging.getLogger(__name__)

# The regularisation grids. In raw space the unit is 1 / (12 n^2), the variance
# that the dequantisation noise alone gives to every pixel; logits are O(1).
_RAW_REG_FACTORS = (0.1, 1.0, 10.0, 100.0, 1000.0)
_LOGIT_REG_COVARS = (0.01, 0.1, 0.3, 1.0)
_LOGIT_ALPHAS = (0.05, 0.01, 0.001)

# One stream of numbers for each use of a seed.
_TRAIN_STREAM, _SPLIT_STREAM, _VALIDATION_STREAM, _TEST_STREAM = range(4)


class BaselineFitError(errors.ExpectedError):
  """A mixture that cannot be fitted with the settings given."""


@dataclasses.dataclass(frozen=True)
class BaselineSettings:
  """What defines one baseline.

  Attributes:
    num_components: number of full-covariance components; 1 is a Gaussian.
    alpha: margin of the logit transform, or None for raw space.
    reg_covar: added to the diagonal of every covariance, in squared units of
      the space that is modelled.
    num_noise_draws: dequantisation noises drawn for every training image.
    seed: non-negative integer; fixes noise and initialisation.
  """

  num_components: int = 1
  alpha: float | None = None
  reg_covar: float = 1e-4
  num_noise_draws: int = 8
  seed: int = 0

  def __post_init__(self):
    for name, is_valid, expected in (
        ('num_components', self.num_components >= 1, 'a number from 1'),
        ('alpha', self.alpha is None or 0.0 < self.alpha < 0.5,
         'a number strictly between 0 and 1/2, or None for raw space'),
        ('reg_covar', self.reg_covar >= 0.0, 'a number from 0'),
        ('num_noise_draws', self.num_noise_draws >= 1, 'a number from 1'),
        ('seed', 0 <= self.seed < 2**32, 'a number from 0, below 2^32')):
      errors.check(is_valid, name, getattr(self, name), expected)


@dataclasses.dataclass(frozen=True)
class DensityBaseline:
  """A fitted Gaussian or Gaussian mixture over images in [0, 1].

  Attributes:
    settings: the `BaselineSettings` it was fitted with.
    num_levels: number n of grey levels of the integer images.
    mixture: the fitted scikit-learn mixture over z, [D].
  """

  settings: BaselineSettings
  num_levels: int
  mixture: mixture.GaussianMixture

  def log_prob(self, x: np.ndarray) -> np.ndarray:
    """Log density of dequantised images.

    Args:
      x: float array [N, ...] in [0, 1], D values per example.

    Returns:
      log p(x), float64 [N], nats.

    Raises:
      InvalidValueError: if x leaves [0, 1] or does not have D values per
        example.
    """
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    num_dims = self.mixture.means_.shape[1]
    errors.check(
        x.shape[1] == num_dims, 'x', f'{x.shape[1]} values per example',
        f'{num_dims}, to which the baseline was fitted')
    errors.check(
        np.all(x >= 0.0) and np.all(x <= 1.0), 'x',
        f'[{x.min():g}, {x.max():g}]', 'numbers in [0, 1]',
        'Dequantise images: x = (X + U) / num_levels.')
    z, log_det = _preprocess(x, self.settings.alpha)
    return self.mixture.score_samples(z) + log_det

  def bits_per_dim(self, x: np.ndarray) -> np.ndarray:
    """Bits/dim of the integers behind dequantised images.

    Args:
      x: float array [N, ...] in [0, 1], x = (X + U) / num_levels.

    Returns:
      -(log p(x) - D log n) / (D log 2), float64 [N].
    """
    num_dims = self.mixture.means_.shape[1]
    nats = num_dims * np.log(self.num_levels) - self.log_prob(x)
    return nats / (num_dims * np.log(2.0))

  def expected_bits_per_dim(self, images: np.ndarray, *, num_draws: int = 8,
                            seed: int = 0) -> np.ndarray:
    """Bits/dim of integer images, averaged over dequantisation noise.

    The mean over noise draws estimates E_U[-log p((X + U) / n)], the same
    upper bound on the bits of X that one draw gives, with less noise.

    Args:
      images: integers [N, H, W, C] in 0..num_levels - 1.
      num_draws: noise draws averaged for every image.
      seed: non-negative integer.

    Returns:
      bits/dim, float64 [N].
    """
    _check_images(images, self.num_levels, 'images')
    return np.mean([
        self.bits_per_dim(
            _dequantize(images, self.num_levels, (seed, _TEST_STREAM, i)))
        for i in range(num_draws)], axis=0)


@dataclasses.dataclass(frozen=True)
class BaselineResult:
  """A baseline on the test split.

  Attributes:
    bits_per_dim: float64 [N], one value per test image, in their order.
    validation_bits_per_dim: mean bits/dim of the chosen settings on the
      validation part of the training split, before the refit.
    baseline: the `DensityBaseline` refitted on the whole training split.
  """

  bits_per_dim: np.ndarray
  validation_bits_per_dim: float
  baseline: DensityBaseline

  def report(self) -> dict[str, Any]:
    """Returns what a tool says of it, a dict for JSON."""
    bits = statistics.mean_and_stderr(self.bits_per_dim)
    settings = self.baseline.settings
    return {
        'bits_per_dim': bits.mean,
        'bits_per_dim_stderr': bits.stderr,
        'num_examples': bits.num_examples,
        'validation_bits_per_dim': self.validation_bits_per_dim,
        'settings': {
            'space': 'raw' if settings.alpha is None else 'logit',
            **dataclasses.asdict(settings),
            'converged': bool(self.baseline.mixture.converged_)}}


def fit_baseline(images: np.ndarray, num_levels: int,
                 settings: BaselineSettings) -> DensityBaseline:
  """Fits a Gaussian or a Gaussian mixture to dequantised images by EM.

  Args:
    images: integers [N, H, W, C] in 0..num_levels - 1.
    num_levels: number n of grey levels.
    settings: the `BaselineSettings`.

  Returns:
    The fitted `DensityBaseline`.

  Raises:
    InvalidValueError: if the images are not integers in range.
    BaselineFitError: if a covariance is not positive definite.

  Example:
    >>> images = np.random.RandomState(0).randint(17, size=(64, 2, 2, 1))
    >>> baseline = fit_baseline(images, 17, BaselineSettings(alpha=0.05))
    >>> baseline.expected_bits_per_dim(images).shape
    (64,)
  """
  _check_images(images, num_levels, 'images')
  errors.check(
      len(images) >= max(2, settings.num_components), 'num_components',
      settings.num_components, f'at most {len(images)}, the number of images')
  x = np.concatenate([
      _dequantize(images, num_levels, (settings.seed, _TRAIN_STREAM, i))
      for i in range(settings.num_noise_draws)])
  z, _ = _preprocess(x, settings.alpha)
  model = mixture.GaussianMixture(
      settings.num_components, covariance_type='full',
      reg_covar=settings.reg_covar, max_iter=200, random_state=settings.seed)
  with warnings.catch_warnings():
    # EM that stops at max_iter is still a valid density; `mixture.converged_`
    # says that it did.
    warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
    try:
      model.fit(z)
    except ValueError as error:
      raise BaselineFitError(
          f'{settings} cannot be fitted to {len(images)} images: a covariance '
          'is not positive definite; raise reg_covar or lower '
          'num_components.') from error
  return DensityBaseline(settings, num_levels, model)


def default_candidates(num_components: int, num_levels: int, *,
                       num_noise_draws: int = 8,
                       seed: int = 0) -> list[BaselineSettings]:
  """The grid of settings that `evaluate_baselines` chooses from.

  Args:
    num_components: number of components of every candidate.
    num_levels: number n of grey levels; sets the scale of raw space.
    num_noise_draws: noises drawn for every training image.
    seed: non-negative integer.

  Returns:
    `BaselineSettings` in raw space and in logit space.
  """
  noise_variance = 1.0 / (12.0 * num_levels**2)
  grid = [(None, factor * noise_variance) for factor in _RAW_REG_FACTORS]
  grid += itertools.product(_LOGIT_ALPHAS, _LOGIT_REG_COVARS)
  return [
      BaselineSettings(num_components, alpha, reg_covar, num_noise_draws, seed)
      for alpha, reg_covar in grid]


def validation_scores(images: np.ndarray, num_levels: int,
                      candidates: Sequence[BaselineSettings], *,
                      validation_fraction: float = 0.2,
                      seed: int = 0) -> np.ndarray:
  """Mean bits/dim of every candidate on a held-out part of the images.

  Args:
    images: the training images, integers [N, H, W, C].
    num_levels: number n of grey levels.
    candidates: `BaselineSettings` to compare.
    validation_fraction: part of the images that is held out, in (0, 1).
    seed: non-negative integer; fixes who is held out, and the noise.

  Returns:
    float64 [len(candidates)]; inf where a candidate could not be fitted.
  """
  num_validation = int(round(validation_fraction * len(images)))
  errors.check(
      1 <= num_validation < len(images), 'validation_fraction',
      validation_fraction, f'a part of the {len(images)} images that leaves '
      'some to fit and some to validate on')
  held_out, fitted = np.split(
      np.random.default_rng((seed, _SPLIT_STREAM)).permutation(len(images)),
      [num_validation])
  x = np.concatenate([
      _dequantize(images[held_out], num_levels, (seed, _VALIDATION_STREAM, i))
      for i in range(4)])
  scores = []
  for settings in candidates:
    try:
      scores.append(np.mean(fit_baseline(
          images[fitted], num_levels, settings).bits_per_dim(x)))
    except BaselineFitError:
      # A grid may contain too little regularisation; it must not win.
      scores.append(np.inf)
    _logger.info(
        'K=%d, %s, reg_covar=%.2g: %.4f bits/dim on validation',
        settings.num_components,
        'raw' if settings.alpha is None else f'logit alpha={settings.alpha:g}',
        settings.reg_covar, scores[-1])
  return np.array(scores)


def evaluate_baselines(
    train: np.ndarray, test: np.ndarray, num_levels: int, *,
    num_components: int = 10, seed: int = 0, num_noise_draws: int = 8,
    candidates_fn: Callable[..., list[BaselineSettings]] = default_candidates,
) -> dict[str, BaselineResult]:
  """Bits/dim of the Gaussian and the mixture baseline on the test split.

  `gaussian` and `gaussian_mixture` use the space that is better on validation;
  `gaussian_raw` and `gaussian_mixture_raw` are kept to raw space. On 8 x 8
  digits (1437 train, 360 test) raw space gives about 2.95 and 2.59 bits/dim,
  logit space about 2.27 and 2.06: pixels pile up at the ends of the range, and
  a Gaussian in raw space spends mass outside [0, 1]. A flow with a logit
  transform has to be compared with the lower numbers.

  Args:
    train: training images, integers [N, H, W, C] in 0..num_levels - 1.
    test: test images, integers [M, H, W, C].
    num_levels: number n of grey levels.
    num_components: number of components of the mixture.
    seed: non-negative integer; fixes the split, the noise and EM's start.
    num_noise_draws: dequantisation noises drawn for every training image.
    candidates_fn: called as `default_candidates` is; returns the settings to
      choose from, at least one of them in raw space.

  Returns:
    A dict from the four names to `BaselineResult`.

  Raises:
    InvalidValueError: if the images do not fit together or to num_levels.
    BaselineFitError: if no candidate could be fitted.

  References:
    Theis et al., 2016, "A note on the evaluation of generative models",
    Section 3.1: bits/dim of integers from dequantised densities.
  """
  _check_images(train, num_levels, 'train')
  _check_images(test, num_levels, 'test')
  errors.check(
      train.shape[1:] == test.shape[1:], 'test', f'images {test.shape[1:]}',
      f'images {train.shape[1:]}, as those of train')
  fit = functools.cache(functools.partial(fit_baseline, train, num_levels))
  results = {}
  for name, count in (('gaussian', 1), ('gaussian_mixture', num_components)):
    candidates = candidates_fn(count, num_levels, seed=seed,
                               num_noise_draws=num_noise_draws)
    scores = validation_scores(train, num_levels, candidates, seed=seed)
    for key, allowed in (
        (name, scores),
        (f'{name}_raw', np.where(
            [c.alpha is None for c in candidates], scores, np.inf))):
      best = np.argmin(allowed)
      if not np.isfinite(allowed[best]):
        raise BaselineFitError(
            f'no setting of {key} with {count} components could be fitted to '
            f'{len(train)} images; lower num_components.')
      baseline = fit(candidates[best])
      results[key] = BaselineResult(
          baseline.expected_bits_per_dim(test, seed=seed), float(scores[best]),
          baseline)
  return results


def format_baselines(entries: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns baselines as text for people, one a line.

  Args:
    entries: from names to what `BaselineResult.report` returns.
  """
  lines = [f'{"baseline":22}{"bits/dim":>9}{"stderr":>9}{"space":>7}'
           f'{"alpha":>8}{"reg_covar":>11}{"validation":>12}']
  for name, entry in entries.items():
    settings = entry['settings']
    alpha = '-' if settings['alpha'] is None else f'{settings["alpha"]:g}'
    lines.append(
        f'{name:22}{entry["bits_per_dim"]:9.4f}'
        f'{entry["bits_per_dim_stderr"]:9.4f}{settings["space"]:>7}'
        f'{alpha:>8}{settings["reg_covar"]:11.2e}'
        f'{entry["validation_bits_per_dim"]:12.4f}')
  return '\n'.join(lines)


def _check_images(images, num_levels, name):
  """Raises unless `images` are integers [N, H, W, C] in 0..num_levels - 1."""
  errors.check(
      images.ndim == 4 and np.issubdtype(images.dtype, np.integer) and
      images.size > 0, name, f'{images.dtype} {images.shape}',
      'integers [N, H, W, C], not empty')
  errors.check(
      images.min() >= 0 and images.max() < num_levels, name,
      f'{images.min()}..{images.max()}',
      f'0..{num_levels - 1} for num_levels={num_levels}')


def _dequantize(images, num_levels, seed):
  """x = (X + U) / n in float64, flattened to [N, D]."""
  noise = np.random.default_rng(seed).random(images.shape)
  return ((images + noise) / num_levels).reshape(len(images), -1)


def _preprocess(x, alpha):
  """Maps x [N, D] to z [N, D] and log|det dz/dx| [N]."""
  if alpha is None:
    return x, np.zeros(len(x))
  s = alpha + (1.0 - 2.0 * alpha) * x
  log_s, log_one_minus_s = np.log(s), np.log1p(-s)
  log_det = np.log1p(-2.0 * alpha) - log_s - log_one_minus_s
  return log_s - log_one_minus_s, np.sum(log_det, axis=1)
