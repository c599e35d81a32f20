"""Density baselines: a Gaussian and a mixture of Gaussians.

Images are dequantised, x = (X + U) / n, and modelled in pixel space ("raw") or
after z = logit(alpha + (1 - 2 alpha) x); columns of vectors are standardised.
Settings maximise the mean log p of a validation part, by default a fifth of the
training part.
"""

from collections.abc import Sequence
import contextlib
import itertools
import logging
import math
import time
from typing import Any, NamedTuple
import warnings

import numpy as np
from numpy import typing as npt
from scipy import special
from sklearn import base
from sklearn import linear_model
from sklearn import mixture
from sklearn import model_selection
from sklearn import pipeline
from sklearn import preprocessing
import threadpoolctl

from tf_resflow import errors
from tf_resflow.columns import column_types
from tf_resflow.evaluation import statistics

# Added to the variances; for raw images in multiples of the noise's variance.
_RAW_FACTORS = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
_LOGIT_GRID = {'alpha': [0.05, 0.01, 0.001], 'reg_covar': [0.01, 0.1, 0.3, 1.0]}
# Candidates of what is added to the variances of standardised vectors.
_VECTOR_FACTORS = (1e-6, 1e-3, 0.01, 0.03, 0.1, 0.3)
_NUM_COMPONENTS = (1, 2, 3, 5, 10)
_MAX_ROWS = 10_000
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


class Baseline(NamedTuple):
  """A fitted mixture and its values on the test part.

  Attributes:
    mixture: its `score_samples(x)` is log p(x), of dequantised images or
      standardised vectors `[N, D]`.
    values: `[N]`, nats in the units of the data, or bits/dim, means of 8 draws.
    details: further fields of the report.
  """

  mixture: mixture.GaussianMixture
  values: np.ndarray
  details: dict[str, Any]

  def report(self) -> dict[str, Any]:
    """Returns the results, a dict for JSON."""
    unit = 'bits_per_dim' if 'settings' in self.details else 'nats'
    return {**statistics.mean_and_stderr(self.values).report(unit),
            'num_examples': len(self.values), **self.details}


def fit_mixtures(
    train: npt.ArrayLike, test: npt.ArrayLike,
    validation: npt.ArrayLike | None = None, *,
    log_dets: Sequence[npt.ArrayLike] = (0.0, 0.0, 0.0),
    num_components: Sequence[int] = _NUM_COMPONENTS,
    max_seconds: float = math.inf, seed: int = 0,
    verbose: int = 0) -> dict[str, Baseline]:
  """Fits a Gaussian and a Gaussian mixture to vectors.

  The vectors may be coordinates z of data x, and `K` of them may stand for one
  row, a cell:

    log p(x) = log q(z) + log|det dz/dx|
    log p(cell) = log mean_k exp(log q(z_k) + log|det dz/dx|_k)

  The number of components and the regularisation, which is added to the
  variances of standardised vectors, maximise the mean log p of the validation
  rows. Settings are tried on 10,000 training rows at most.

  Args:
    train: `[M, D]`, or `[M, K, D]` for cells; of each, one point is fitted.
    test: `[N, D]`, or `[N, K, D]` for cells.
    validation: likewise; None for a fifth of the training rows, after which the
      best settings are fitted to all of them.
    log_dets: log|det dz/dx| of these parts, nats: `[N]` or `[N, K]`, or one for
      all vectors.
    num_components: the numbers to choose from for the mixture.
    max_seconds: once a mixture is fitted, none is tried after this time.
    seed: of the parts and the start of EM.
    verbose: 1 logs every setting that is tried, with its mean log p.

  Returns:
    `gaussian` and `gaussian_mixture`. Their details are `num_components`,
    `reg_covar`, `converged`, `validation_nats`, and `not_tried`, the numbers of
    components that there was no time for (in whole or in part), if any.

  Raises:
    InvalidValueError: if shapes do not fit, a number is not finite, a column is
      constant, or there are fewer rows than components.

  Example:
    >>> x = np.random.default_rng(0).normal([5.0, 0.0], [2.0, 1.0], [900, 2])
    >>> found = fit_mixtures(x[:600], x[600:])
    >>> nats = found['gaussian'].report()['nats']
    >>> print(f'{nats:.2f}, {np.log(4.0 * np.pi * np.e):.2f}')
    3.61, 3.53
  """
  cells = _as_rows('train', train, np.shape(train)[-1:])
  rows = column_types.one_per_cell(cells)
  test = _as_rows('test', test, rows.shape[1:])
  order = np.random.default_rng(seed).permutation(len(rows))
  if validation is None:
    chosen, order = np.split(order, [max(1, len(order) // 5)])
    held_out = cells[chosen]
    held_out_log_det = np.broadcast_to(log_dets[0], cells.shape[:-1])[chosen]
  else:
    held_out = _as_rows('validation', validation, rows.shape[1:])
    held_out_log_det = log_dets[2]
  mean, std = rows.mean(axis=0), rows.std(axis=0)
  errors.check(np.all(std > 0), 'train', f'a constant column {np.argmin(std)}',
               'columns that vary')
  rows, test, held_out = ((part - mean) / std for part in (
      rows, test, held_out))
  offset = np.sum(np.log(std))
  tried, not_tried = _try_mixtures(
      [_Mixture(count, None, reg_covar, seed)
       for count, reg_covar in itertools.product(
           sorted({1, *num_components}), _VECTOR_FACTORS)],
      rows[order[:_MAX_ROWS]], held_out, held_out_log_det - offset,
      num_components, max_seconds, verbose)
  results = {}
  for name, counts in (
      ('gaussian', (1,)), ('gaussian_mixture', num_components)):
    best, value = _best(
        tried, lambda m, counts=counts: m.n_components in counts, min(counts),
        rows, fits_again=validation is None)
    details: dict[str, Any] = {
        'validation_nats': -value, 'num_components': best.n_components,
        'reg_covar': best.reg_covar, 'converged': best.converged_}
    if not_tried and name == 'gaussian_mixture':
      details['not_tried'] = sorted(not_tried)
    results[name] = Baseline(
        best, offset - _cell_log_prob(best, test, log_dets[1]), details)
  return results


def _try_mixtures(
    mixtures, rows, held_out, log_det, num_components, max_seconds, verbose):
  """Fits mixtures, those of fewer components first.

  Returns fitted mixtures with their mean log p of held-out rows, and the
  numbers of components for which there was no time after the first fit.
  """
  end = time.monotonic() + max_seconds
  tried: dict[_Mixture, float] = {}
  not_tried = set()
  for candidate in mixtures:
    count = candidate.n_components
    if count > 1 and time.monotonic() >= end and any(
        fitted.n_components in num_components for fitted in tried):
      not_tried.add(count)
    elif fitted := _fitted(candidate, rows):
      tried[fitted] = float(np.mean(
          _cell_log_prob(fitted, held_out, log_det)))
      if verbose:
        _logger.info('%d components, reg_covar %g: mean log p %.4f.', count,
                     fitted.reg_covar, tried[fitted])
  return tried, not_tried


def _fitted(candidate, rows):
  """Fits a mixture; returns None where that fails."""
  # EM that stops early is still a density; settings that fail are not chosen.
  with (warnings.catch_warnings(action='ignore'),
        contextlib.suppress(ValueError)):
    return candidate.fit(rows)


def _cell_log_prob(fitted, rows, log_det):
  """Returns log p of rows `[N, D]`, or the mean over cells `[N, K, D]`."""
  values = fitted.score_samples(
      rows.reshape([-1, rows.shape[-1]])).reshape(rows.shape[:-1]) + log_det
  return values if rows.ndim == 2 else special.logsumexp(
      values, axis=1) - np.log(rows.shape[1])


def fit_columns(
    maps: Sequence[str], *parts: np.ndarray,
    conditions: Sequence[np.ndarray] = (), **settings: Any,
) -> dict[str, Baseline]:
  """Fits `fit_mixtures` to rows in the coordinates of flows on columns.

  So all are densities, or probabilities of whole numbers, of the same rows.
  With conditions `c` they are densities `q(z - A c - b)`, of the residuals of a
  linear regression (ridge, its strength by leave-one-out).

  Args:
    maps: specs of the `ColumnType` of the columns; none if all are real.
    *parts: the training rows, the test rows, and the validation rows if there
      are some, `[N, D]` each, values that the types support.
    conditions: those of the parts, `[N, C]`, if there are some.
    **settings: of `fit_mixtures`.
  """
  rows, log_dets = zip(
      *(column_types.mapped(maps, part) for part in parts), strict=True)
  if conditions:
    regression = pipeline.make_pipeline(
        preprocessing.StandardScaler(), linear_model.RidgeCV(
            np.logspace(-3, 3, 7))).fit(
                conditions[0], column_types.one_per_cell(rows[0]))
    rows = tuple(
        z - regression.predict(c).reshape(
            [len(c), *[1] * (z.ndim - 2), z.shape[-1]])
        for z, c in zip(rows, conditions, strict=True))
  return fit_mixtures(*rows, log_dets=log_dets, **settings)


def _as_rows(name, rows, shape):
  """Returns vectors or cells as float64, or raises."""
  rows = np.asarray(rows, np.float64)
  errors.check(
      rows.ndim in (2, 3) and rows.size > 0 and rows.shape[-1:] == shape
      and np.all(np.isfinite(rows)), name, f'an array {list(rows.shape)}',
      f'finite numbers [N, {", ".join(map(str, shape)) or "D"}]')
  return rows


def _best(tried, is_chosen, num_components, rows, fits_again=True):
  """Returns the best of some fitted mixtures and its value, or raises.

  It may be fitted again, to all rows.
  """
  chosen = list(filter(is_chosen, tried))
  errors.check(
      chosen, 'num_components', num_components,
      problem='cannot be fitted to these training examples')
  best = max(chosen, key=tried.__getitem__)
  return fits_again and _fitted(base.clone(best), rows) or best, tried[best]


def fit_baselines(
    train: np.ndarray, test: np.ndarray, num_levels: int | None = None, *,
    num_components: int | None = None, num_noise_draws: int = 8,
    seed: int = 0, verbose: int = 0, column_maps: Sequence[str] = (),
) -> dict[str, Baseline]:
  """Fits a Gaussian and a Gaussian mixture; vectors by `fit_columns`.

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
    counts = [num_components] if num_components else _NUM_COMPONENTS
    return fit_columns(column_maps, train, test, num_components=counts,
                       seed=seed, verbose=verbose)
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
    tried, _ = _try_mixtures(
        [_Mixture(count, alpha, factor, random_state=seed)
         for alpha, factor in settings],
        rows[part], rows[held_out], 0.0, (count,), math.inf, verbose)
    for key, is_chosen in (
        (name, None), (f'{name}_raw', lambda m: m.alpha is None)):
      fitted, value = _best(tried, is_chosen, count, rows)
      log_prob = np.reshape(
          fitted.score_samples(test_rows), [-1, len(test)]).mean(axis=0)
      results[key] = Baseline(fitted, (offset - log_prob) / scale, {
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
