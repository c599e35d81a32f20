"""Distances between samples of a flow and images: FID and KID."""

from typing import Any

import numpy as np
from numpy import typing as npt
from scipy import linalg
from sklearn.metrics import pairwise
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.evaluation import batch_map
from tf_resflow.evaluation import features as features_lib
from tf_resflow.evaluation import inversion
from tf_resflow.evaluation import pictures
from tf_resflow.evaluation import plots
from tf_resflow.evaluation import settings as settings_lib
from tf_resflow.evaluation import statistics

_NUM_SUBSETS = 10
_MIN_EXAMPLES = 2 * _NUM_SUBSETS


def _factor(covariance):
  """Returns `A` `[F, r]` with `A A^T = covariance`, of its numerical rank."""
  values, vectors = linalg.eigh(covariance)
  # Smaller values are rounding errors of zero; their roots would be 1e-8.
  threshold = len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
  kept = values > threshold
  return vectors[:, kept] * np.sqrt(values[kept])


def frechet_distance(
    mean_1: npt.ArrayLike, covariance_1: npt.ArrayLike, mean_2: npt.ArrayLike,
    covariance_2: npt.ArrayLike) -> float:
  """Returns the squared 2-Wasserstein distance of two normal distributions.

    d = |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1 C_2)^(1/2)

  With factors `C_i = A_i A_i^T` the last trace is the sum of the singular
  values of `A_1^T A_2`. Unlike a square root of the product matrix that stays
  exact where covariances are singular, which is always so with fewer examples
  than features.

  Args:
    mean_1, mean_2: `[F]`.
    covariance_1, covariance_2: `[F, F]`, symmetric and positive semidefinite.

  Example:
    >>> float(frechet_distance([0.0], [[1.0]], [3.0], [[4.0]]))  # 9 + (2 - 1)^2
    10.0

  References:
    Dowson and Landau, 1982, The Frechet Distance between Multivariate Normal
    Distributions; Heusel et al., 2017, GANs Trained by a Two Time-Scale Update
    Rule (FID).
  """
  factors = [_factor(c) for c in (covariance_1, covariance_2)]
  common = (linalg.svdvals(factors[0].T @ factors[1]).sum()
            if factors[0].size and factors[1].size else 0.0)
  distance = np.sum(np.square(np.subtract(mean_1, mean_2))) + (
      np.trace(covariance_1) + np.trace(covariance_2)) - 2.0 * common
  # Rounding may leave -1e-16 of the traces for equal distributions.
  return float(max(distance, 0.0))


def squared_mmd(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
  """Returns an unbiased estimate of the squared maximum mean discrepancy.

    MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),
    k(x, y) = (<x, y> / F + 1)^3.

  Pairs of an example with itself are left out, so the estimate is unbiased for
  any number of examples, and below zero about as often as above it where the
  distributions are equal.

  Args:
    x, y: `[M, F]` and `[N, F]`, features of both sets, 2 or more of each.

  References:
    Gretton et al., 2012, A Kernel Two-Sample Test, Lemma 6; Binkowski et al.,
    2018, Demystifying MMD GANs (the cubic kernel).
  """
  x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)

  def kernel(a, b):
    return pairwise.polynomial_kernel(a, b, degree=3, coef0=1)

  def mean_over_pairs(a):
    values = kernel(a, a)
    return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

  return float(mean_over_pairs(x) + mean_over_pairs(y) - 2.0 * kernel(
      x, y).mean())


def squared_mmd_of_subsets(
    x: np.ndarray, y: np.ndarray, seed: int = 0) -> statistics.MeanAndStderr:
  """Returns the squared MMD over 10 disjoint random subsets, with its error.

  Subsets that share no example are independent, so the spread of their
  estimates gives the error of the mean. Their order is random, by the seed,
  since sets are often sorted.
  """
  rng = np.random.default_rng(seed)
  parts = [np.array_split(rng.permutation(len(a)), _NUM_SUBSETS)
           for a in (x, y)]
  return statistics.mean_and_stderr([
      squared_mmd(x[i], y[j]) for i, j in zip(*parts, strict=True)])


def compare_samples(
    model: models.Flow, split: datasets.Split,
    extractor: features_lib.FeatureExtractor, *, num_images: int | None = None,
    num_samples: int | None = None, temperature: float = 1.0,
    solver: layers.SolverLike = None, **settings: Any) -> dict[str, Any]:
  """Compares samples with images by the features of a network.

  Args:
    model: a flow on images of integers.
    extractor: of the features.
    num_images: compare with the first ones only; all by default.
    num_samples: as many as images by default.
    temperature: standard deviation of the latents.
    solver: in place of the blocks' own.
    **settings: see `EvaluationSettings`; the seed is that of the samples and
      of the subsets.

  Returns:
    A dict for JSON: `fid`, `kid` with `kid_stderr` across `kid_num_subsets`
    subsets, and all that these numbers depend on.

  Raises:
    NotConvergedError: if the inverse of a sample was not found.
    InvalidValueError: if the network does not take the images, or there are too
      few for a standard error.

  References:
    Those of `frechet_distance` and `squared_mmd`; Chen et al., 2019, Residual
    Flows, Table 2.
  """
  num_images = num_images or split.num_examples
  num_samples = num_samples or num_images
  for name, value in (('num_images', num_images), ('num_samples', num_samples)):
    errors.check(
        value >= _MIN_EXAMPLES, name, value, f'{_MIN_EXAMPLES} or more',
        'Fewer have no standard error of the kernel distance.')
  used = settings_lib.EvaluationSettings.of(model, **settings)
  latents = _latents(model, split, num_images, num_samples, temperature, used)
  decoded: list[inversion.Decoded] = []

  def sample_batches():
    for part in inversion.decode_batches(
        model, latents, solver, used.strategy):
      # Images and latents may be too many to keep.
      decoded.append(part._replace(x=part.x[:0], z=part.z[:0]))
      yield pictures.to_bytes(part.x, model.num_levels)

  image_batches = (
      plots.levels_to_bytes(batch['x'], split.num_levels)
      for batch in split.examples.take(num_images).batch(used.batch_size))
  # Samples first, since their inverses may fail.
  of_samples, of_images = [
      _gather(extractor, batches, batch_map.progress_bar(
          size, used.verbose, f'Features of {size} {noun}.'))
      for batches, size, noun in (
          (sample_batches(), num_samples, 'samples'),
          (image_batches, num_images, 'images'))]
  kernel = squared_mmd_of_subsets(of_images, of_samples, seed=used.seed)
  return {
      'fid': frechet_distance(*_moments(of_images), *_moments(of_samples)),
      **kernel.report('kid'), 'kid_num_subsets': kernel.num_examples,
      'num_images': num_images, 'num_samples': num_samples,
      'num_features': of_images.shape[1], 'seed': used.seed,
      'temperature': temperature, **extractor.description(split.event_shape),
      **inversion.join(decoded).report()}


def _latents(model, split, num_images, num_samples, temperature, settings):
  """Yields batches of latents, and their conditions if there are some."""
  condition = None
  if split.is_conditional:  # With the frequencies of the data.
    condition = datasets.split.first_conditions(split, num_images)
    condition = np.resize(condition, [num_samples, *condition.shape[1:]])
  size = settings.batch_size
  for start in range(0, num_samples, size):
    # Always a full batch, so that one graph draws all of them.
    z = model.draw_latents(
        size, seed=settings.seed, start=start, temperature=temperature
    )[:num_samples - start]
    yield z if condition is None else (z, condition[start:start + size])


def _moments(features):
  """Returns the mean `[F]` and the unbiased covariance `[F, F]`, float64."""
  return (np.mean(features, axis=0, dtype=np.float64),
          np.atleast_2d(np.cov(features, rowvar=False, dtype=np.float64)))


def _gather(extractor, batches, bar):
  """Returns the features `[N, F]` of batches of images."""
  kept = []
  for images in batches:
    kept.append(extractor(tf.constant(images)))
    bar.add(len(images))
  return np.concatenate(kept)
