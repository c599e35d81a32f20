"""FID and KID of a flow against the same from arrays.

The distances themselves: Frechet's against closed forms, the kernel's over all
possible examples.
"""

import itertools

import numpy as np
import pytest
from scipy import linalg
import tensorflow as tf

from tests import flows
from tests import splits
from tests import testing
from tests.evaluation import conditional_flows
from tf_resflow import evaluation
from tf_resflow.evaluation import pictures
from tf_resflow.evaluation import sample_quality


def _extractor():
  """Features that are pixels: sums of columns, from 0 to 4."""
  return evaluation.features.FeatureExtractor(
      lambda x: tf.reduce_sum(x[..., 0], axis=1), (4, 4, 1),
      input_range=(0.0, 1.0))


def _features(images):
  return (images / 255.0).sum(axis=(1, 3))


def _fid(x, y):
  return sample_quality.frechet_distance(
      x.mean(0), np.cov(x, rowvar=False), y.mean(0), np.cov(y, rowvar=False))


def test_distances_are_those_of_the_features():
  """Compares 50 images with 45 samples, at temperature 0.8."""
  flow = flows.make_image_flow(17, num_dense_blocks=0)
  split = splits.random_split(60, 17)
  report = sample_quality.compare_samples(
      flow, split, _extractor(), num_images=50, num_samples=45, seed=3,
      temperature=0.8, batch_size=16)
  images = split.arrays['x'].numpy()[:50]
  samples = pictures.samples(flow, 45, seed=3, temperatures=(0.8,)).images
  x = _features(np.floor(255.0 * images / 16 + 0.5))
  y = _features(samples)
  assert report['fid'] == pytest.approx(_fid(x, y), rel=1e-5)
  kid = sample_quality.squared_mmd_of_subsets(x, y, seed=3)
  assert report['kid'] == pytest.approx(kid.mean, rel=1e-4)
  assert report['kid_stderr'] == pytest.approx(kid.stderr, rel=1e-4)
  assert report['kid_num_subsets'] == 10
  assert (report['num_images'], report['num_samples'], report['num_features'],
          report['seed'], report['temperature']) == (50, 45, 4, 3, 0.8)
  assert report['input_size'] == report['image_size'] == [4, 4]
  assert report['inverse_num_steps_max'] >= 2
  assert 0.0 < report['inverse_residual_max'] < 1e-4


_SIZE = 24


def _distance(covariance_1, covariance_2, shift=0.0):
  size = len(covariance_1)
  return sample_quality.frechet_distance(
      np.zeros(size), covariance_1, np.full(size, shift), covariance_2)


def test_commuting_covariances():
  """sum (sqrt d - sqrt e)^2 for common eigenvectors, of any rank.

  Where they have no support in common it is the sum of the traces.
  """
  rng = np.random.default_rng(1)
  basis = np.linalg.qr(rng.normal(size=[_SIZE, _SIZE]))[0]
  for first, second in (
      (range(_SIZE), range(_SIZE)), (range(10), range(10)), ([0], [0]),
      (range(4), range(4, 8)), (range(4), [])):
    eigenvalues = np.zeros([2, _SIZE])
    for row, support in zip(eigenvalues, (first, second), strict=True):
      row[list(support)] = rng.uniform(0.5, 3.0, len(support))
    expected = np.sum((np.sqrt(eigenvalues[0]) - np.sqrt(eigenvalues[1]))**2)
    pair = [basis * row @ basis.T for row in eigenvalues]
    assert _distance(*pair) == pytest.approx(expected, rel=1e-12)
    assert _distance(*pair, shift=2.0) == pytest.approx(
        expected + 4.0 * _SIZE, rel=1e-12)
    # Rounding leaves nothing below zero.
    assert 0.0 <= _distance(pair[0], pair[0]) < 1e-13 * np.trace(pair[0])
  assert _distance(*np.zeros([2, _SIZE, _SIZE])) == 0.0


def test_general_covariances_against_the_matrix_square_root():
  rng = np.random.default_rng(3)
  first, second = [a.T @ a / 40 for a in rng.normal(size=[2, 40, _SIZE])]
  expected = np.trace(first + second - 2.0 * linalg.sqrtm(first @ second).real)
  assert _distance(first, second) == pytest.approx(expected, rel=1e-9)
  assert _distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_moments_are_in_double_precision():
  """Sums of float32 squares would have no digit left."""
  features = (1e4 + np.random.default_rng(6).normal(size=[64, 3])).astype(
      np.float32)
  mean, covariance = sample_quality._moments(features)
  np.testing.assert_allclose(mean, np.float64(features).mean(0), rtol=1e-13)
  np.testing.assert_allclose(
      covariance, np.cov(np.float64(features), rowvar=False), rtol=1e-9)
  assert sample_quality._moments(features[:, :1])[1].shape == (1, 1)


def test_too_few_for_a_standard_error():
  split = splits.random_split(20, 17)
  testing.check_refusals(
      lambda options: evaluation.compare_samples(None, split, None, **options),
      [({name: 19}, f'{name}=19: expected 20 or more')
       for name in ('num_images', 'num_samples')])


_POINTS = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]])
_P, _Q = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.6, 0.3])


def _exact_mmd(p, q):
  """The squared discrepancy of two distributions on `_POINTS`."""
  kernel = (_POINTS @ _POINTS.T / 2 + 1.0)**3
  return (p - q) @ kernel @ (p - q)


def _expectation(estimate, p, q, num_x, num_y):
  """The mean over all possible sets of examples."""
  total = 0.0
  for x in itertools.product(range(3), repeat=num_x):
    for y in itertools.product(range(3), repeat=num_y):
      weight = np.prod(p[list(x)]) * np.prod(q[list(y)])
      total += weight * estimate(_POINTS[list(x)], _POINTS[list(y)])
  return total


@pytest.mark.parametrize('q', [_Q, _P], ids=['different', 'equal'])
def test_unbiased_for_the_smallest_sets(q):
  exact = _exact_mmd(_P, q)
  found = _expectation(sample_quality.squared_mmd, _P, q, 3, 2)
  assert found == pytest.approx(exact, rel=1e-12, abs=1e-12)


def test_subsets_partition_the_sets():
  """All examples of `x` but one are zero: one subset alone is different."""
  x, y = np.zeros([40, 2]), np.zeros([60, 2])
  x[7] = 3.0
  found = sample_quality.squared_mmd_of_subsets(x, y, seed=1)
  # Of 4 with one that is not zero; k(0, 0) = k(0, x) = 1.
  assert found.mean == pytest.approx(0.0, abs=1e-12)
  # Two of them either meet in a subset, or do not.
  x[8] = 3.0
  pair = 2 * (10.0**3 - 1.0) / (4 * 3)
  means = {
      round(sample_quality.squared_mmd_of_subsets(x, y, seed).mean, 9)
      for seed in range(40)}
  assert means == {0.0, round(pair / 10, 9)}


def test_repeatable_and_blind_to_the_order():
  x = np.repeat(np.arange(5.0), 20)[:, np.newaxis]  # Sorted by class.
  first = sample_quality.squared_mmd_of_subsets(x, x, seed=3)
  assert first == sample_quality.squared_mmd_of_subsets(x, x, seed=3)
  assert first != sample_quality.squared_mmd_of_subsets(x, x, seed=4)
  # Cut in the given order, the subsets would be constant: distance 0 and
  # standard error 0.
  assert first.stderr > 1.0


def test_samples_have_conditions_as_often_as_the_data(labelled):
  labels = np.arange(25) % 4 % 3
  split = conditional_flows.make_labelled_split(25, labels=labels)
  report = evaluation.compare_samples(
      labelled, split, _extractor(), num_samples=40, batch_size=16)
  x = _features(evaluation.plots.levels_to_bytes(split.arrays['x'].numpy(), 16))
  expected, other = (
      _fid(x, _features(pictures.samples(labelled, 40, condition=given).images))
      for given in (np.resize(labels, 40), np.arange(40) % 3))
  assert report['fid'] == pytest.approx(expected, rel=1e-5)
  assert report['fid'] != pytest.approx(other, rel=1e-3)


def test_a_classifier_against_its_null():
  """Of equal distributions, also with ties, and of ones that differ."""
  for num_levels in None, 3:
    scores = []
    for seed in range(30):
      x = np.random.default_rng(seed).normal(size=[2, 120, 2])
      x = x if num_levels is None else np.rint(x).clip(0, num_levels)
      found = sample_quality.classifier_two_sample_test(*x, seed=seed)
      scores.append((found.auroc - 0.5) / found.null_stderr)
      assert found.null_stderr == pytest.approx(
          np.sqrt(121 / (12 * 60**2)), rel=1e-6)
    assert abs(np.mean(scores)) < 5.5 / np.sqrt(30)
    assert np.std(scores) < 1.0 + 5.5 / np.sqrt(2 * 30)
  x, y = np.random.default_rng(1).normal(size=[2, 400, 2])
  found = sample_quality.classifier_two_sample_test(x, y + [3.0, 0.0])
  # Two normals at a distance of 3: Phi(3 / sqrt 2) = 0.983 at most.
  assert 0.95 < found.auroc < 0.993 and found.p_value < 1e-20
  assert found.least_detectable == pytest.approx(
      0.5 + 1.6449 * found.null_stderr, abs=1e-4)


def test_rows_and_samples_of_one_condition_are_not_told_apart():
  """Also where the condition says most of both."""
  scores = []
  for seed in range(30):
    rng = np.random.default_rng(seed)
    c = rng.normal(size=[60, 1])
    found = sample_quality.classifier_two_sample_test(*(np.concatenate(
        [c, c + 0.1 * rng.normal(size=[60, 1])], axis=1) for _ in range(2)))
    scores.append((found.auroc - 0.5) / found.null_stderr)
  assert abs(np.mean(scores)) < 5.5 / np.sqrt(30)


def test_the_auroc_is_that_of_all_pairs(monkeypatch):
  from sklearn import ensemble
  monkeypatch.setattr(
      ensemble.HistGradientBoostingClassifier, 'decision_function',
      lambda self, x: x[:, 0])
  x, y = np.random.default_rng(0).integers(0, 5, size=[2, 60, 1]).astype(float)
  found = sample_quality.classifier_two_sample_test(x, y, seed=4)
  a, b = (part[np.random.default_rng(4).permutation(60)[30:], 0]
          for part in (x, y))
  pairs = np.sign(b[:, np.newaxis] - a)
  assert found.auroc == pytest.approx(0.5 + 0.5 * pairs.mean())


def test_copies_against_their_null():
  scores = []
  for seed in range(60):
    rng = np.random.default_rng(seed)
    found = sample_quality.find_copies(
        rng.normal(size=[150, 2]), rng.normal(size=[300, 2]),
        rng.normal(size=[100, 2]), seed=seed)
    scores.append((found.share - 0.5) / found.stderr)
    assert found[2:] == (100, 0, 0)
  assert abs(np.mean(scores)) < 5.5 / np.sqrt(60)
  # The bootstrap is cautious.
  assert 0.4 < np.std(scores) < 1.0 + 5.5 / np.sqrt(2 * 60)


def test_copies_are_found():
  """Of memorised examples with and without noise; of both parts, none."""
  rng = np.random.default_rng(0)
  train, held_out = rng.normal(size=[2, 200, 3])
  noise = 0.01 * rng.normal(size=[200, 3])
  for samples, least, greatest, num_exact in (
      (train[:80], 1.0, 1.0, 80), (train + noise, 0.98, 1.0, 0),
      (held_out + noise, 0.0, 0.02, 0),
      (np.concatenate([train + noise, held_out - noise]), 0.48, 0.52, 0)):
    found = sample_quality.find_copies(samples, train, held_out)
    assert least <= found.share <= greatest, found
    assert found[2:] == (200, num_exact, 0)
  # Of rows on a coarse grid many are equal, in both parts.
  rows = np.where(rng.random([3, 300, 2]) < 0.5, -0.0, 1.0)
  found = sample_quality.find_copies(*rows)
  assert found == (0.5, 0.0, 300, 300, 300)


def test_nearest_examples_are_the_oracle():
  """Against all distances, with more training examples than held-out ones."""
  rng = np.random.default_rng(0)
  samples, train, held_out = (rng.normal(size=[n, 2, 2]) for n in (40, 90, 30))
  found = sample_quality.find_copies(samples, train, held_out, seed=3)
  train = train[np.random.default_rng(3).permutation(90)[:30]]
  nearest = [np.square(samples[:, np.newaxis] - part).sum((2, 3)).min(1)
             for part in (train, held_out)]
  assert found.share == np.mean(nearest[0] < nearest[1])
