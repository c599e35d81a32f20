"""How samples of a flow differ from data: FID and KID, classifiers, copies."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import linalg
from scipy import stats
from sklearn import neighbors
from sklearn.metrics import pairwise
import threadpoolctl

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
_NUM_RESAMPLES = 200
# A bootstrap leaves all of them out with a probability of exp(-20).
_NUM_NEIGHBORS = 20


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
  common = linalg.svdvals(factors[0].T @ factors[1]).sum()
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


class TwoSampleTest(NamedTuple):
  """How well a classifier tells samples from data.

  Attributes:
    auroc: probability that it finds a sample more like samples than an example
      of the data, ties counted half.
    null_stderr: at least the standard deviation of `auroc` if both have the
      same distribution; its mean is 0.5 then.
    p_value: of that, against a larger one.
  """

  auroc: float
  null_stderr: float
  p_value: float

  @property
  def least_detectable(self) -> float:
    """The AUROC from which on the p-value is below about 0.05."""
    return 0.5 + stats.norm.isf(0.05) * self.null_stderr


def classifier_two_sample_test(
    data: npt.ArrayLike, samples: npt.ArrayLike, seed: int = 0
) -> TwoSampleTest:
  """Tests whether two sets have the same distribution, by a classifier.

  Gradient-boosted trees learn to tell a random half of both; the other halves
  are scored. If all are independent and of one distribution, these scores are
  exchangeable whatever was learned: the AUROC is the statistic of Mann and
  Whitney, with mean 0.5 and variance `(m + n + 1) / (12 m n)`, less with ties.

  Values of data on a grid, such as rounded ones, give samples away that are
  not on it.

  Args:
    data, samples: `[M, F]` and `[N, F]`, 4 or more of each.
    seed: of the halves.

  Example:
    >>> x = np.random.default_rng(0).normal(size=[2, 500, 1])
    >>> classifier_two_sample_test(x[0], x[1] + 3.0).auroc > 0.95
    True

  References:
    Lopez-Paz and Oquab, 2017, Revisiting Classifier Two-Sample Tests.
  """
  from sklearn import ensemble  # Takes a second.

  # Rows and samples of one condition stand at one place, and in one half.
  halves = [np.array_split(np.random.default_rng(seed).permutation(part), 2)
            for part in (data, samples)]
  train, test = zip(*halves, strict=True)
  trees = ensemble.HistGradientBoostingClassifier(
      early_stopping=False, random_state=seed, min_samples_leaf=min(
          20, sum(map(len, train)) // 8))  # Of few rows, too.
  with threadpoolctl.threadpool_limits(1):  # Many are slow on few rows.
    trees.fit(np.concatenate(train), np.repeat([0, 1], [*map(len, train)]))
    of_data, of_samples = map(trees.decision_function, test)
  m, n = len(of_data), len(of_samples)
  found = stats.mannwhitneyu(
      of_samples, of_data, alternative='greater', method='asymptotic')
  return TwoSampleTest(
      float(found.statistic / (m * n)),
      math.sqrt((m + n + 1) / (12.0 * m * n)), float(found.pvalue))


class Copies(NamedTuple):
  """Whether samples are closer to the training data than to held-out data.

  Attributes:
    share: of the samples with a training example nearer than all of as many
      held-out ones, ties counted half.
    stderr: of it, 0.5 if the flow has learned a distribution alone.
    num_references: number of examples of either kind.
    num_exact: number of samples that equal a training example.
    num_exact_held_out: number of held-out examples that do.
  """

  share: float
  stderr: float
  num_references: int
  num_exact: int
  num_exact_held_out: int


def find_copies(
    samples: npt.ArrayLike, train: npt.ArrayLike, held_out: npt.ArrayLike,
    seed: int = 0) -> Copies:
  """Looks for copies of training examples among samples.

  If training and held-out examples are drawn alike, and the samples depend on
  neither more than on the other, the nearest of equally many of both is a
  training example with probability 0.5. The standard error is that of a
  bootstrap over samples and references.

  Args:
    samples: `[N, ...]`; distances are Euclidean, so scale columns first.
    train: `[M, ...]`, of which some are drawn if there are more than held-out
      ones; copies are sought among all.
    held_out: `[R, ...]`, at most as many.
    seed: of all draws.

  Example:
    >>> x = np.random.default_rng(0).normal(size=[3, 100, 2])
    >>> find_copies(x[1], x[1], x[2])[::2], find_copies(*x).num_exact
    ((1.0, 100, 0), 0)

  References:
    Meehan et al., 2020, A Non-Parametric Test to Detect Data-Copying in
    Generative Models (samples against training and held-out examples).
  """
  samples, train, held_out = (
      np.reshape(part, [len(part), -1]).astype(np.float64)
      for part in (samples, train, held_out))
  rng = np.random.default_rng(seed)
  size = len(held_out)
  references = train[rng.permutation(len(train))[:size]], held_out
  found = [neighbors.NearestNeighbors(
      n_neighbors=min(_NUM_NEIGHBORS, size)).fit(part).kneighbors(samples)
           for part in references]

  def shares(is_drawn):
    """Returns 0, 1/2 or 1 for each sample, by the references drawn."""
    nearest = [
        np.take_along_axis(distance, drawn[index].argmax(1)[:, np.newaxis], 1)
        for (distance, index), drawn in zip(found, is_drawn, strict=True)]
    return 0.5 + 0.5 * np.sign(nearest[1] - nearest[0])[:, 0]

  resampled = []
  for _ in range(_NUM_RESAMPLES):
    drawn = np.zeros([2, size], bool)
    for row in drawn:
      row[rng.integers(size, size=size)] = True
    resampled.append(np.mean(rng.choice(shares(drawn), len(samples))))
  known = {row.tobytes() for row in train + 0.0}  # No -0.0.
  return Copies(
      float(np.mean(shares(np.ones([2, size], bool)))),
      float(np.std(resampled, ddof=1)), size,
      *(sum(row.tobytes() in known for row in part + 0.0)
        for part in (samples, held_out)))


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
  # With the frequencies of the data.
  condition = np.take(
      datasets.split.first_conditions(split, num_images), range(num_samples), 0,
      mode='wrap') if split.is_conditional else None
  decoded: list[inversion.Decoded] = []

  def sample_batches():
    for part, _ in pictures.draw_batches(
        model, num_samples, temperatures=(temperature,), condition=condition,
        solver=solver, settings=used, verbose=0):
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


def _moments(features):
  """Returns the mean `[F]` and the unbiased covariance `[F, F]`, float64."""
  return (np.mean(features, axis=0, dtype=np.float64),
          np.atleast_2d(np.cov(features, rowvar=False, dtype=np.float64)))


def _gather(extractor, batches, bar):
  """Returns the features `[N, F]` of batches of images."""
  kept = []
  for images in batches:
    kept.append(extractor(images))
    bar.add(len(images))
  return np.concatenate(kept)
