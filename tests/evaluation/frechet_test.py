"""Frechet distances against closed forms, also of singular covariances."""

import numpy as np
import pytest
from scipy import linalg

from tf_resflow import evaluation

_SIZE = 24


def _distance(covariance_1, covariance_2, shift=0.0):
  size = len(covariance_1)
  return evaluation.frechet_distance(
      np.zeros(size), covariance_1, np.full(size, shift), covariance_2)


def _basis(rank, seed=0):
  rng = np.random.default_rng(seed)
  return np.linalg.qr(rng.normal(size=[_SIZE, _SIZE]))[0][:, :rank]


def test_one_dimension():
  # (m1 - m2)^2 + (s1 - s2)^2
  assert evaluation.frechet_distance(
      [1.0], [[4.0]], [3.0], [[25.0]]) == pytest.approx(4.0 + 9.0, rel=1e-14)


@pytest.mark.parametrize('rank', [_SIZE, 10, 1])
def test_commuting_covariances(rank):
  """sum (sqrt d - sqrt e)^2 for common eigenvectors, of any rank."""
  rng = np.random.default_rng(1)
  basis = _basis(rank)
  d, e = rng.uniform(0.5, 3.0, [2, rank])
  expected = np.sum((np.sqrt(d) - np.sqrt(e))**2)
  first, second = basis * d @ basis.T, basis * e @ basis.T
  assert _distance(first, second) == pytest.approx(expected, rel=1e-12)
  assert _distance(first, second, shift=2.0) == pytest.approx(
      expected + 4.0 * _SIZE, rel=1e-12)
  if rank < _SIZE:
    # Eigenvalues of the product, the usual way, lose half of the digits here.
    values = linalg.eigvals(first @ second).real
    usual = np.sum(d) + np.sum(e) - 2.0 * np.sum(
        np.sqrt(np.maximum(values, 0.0)))
    assert abs(usual - expected) > 1e-9


def test_rank_one():
  """tr (a a^T b b^T)^(1/2) = |<a, b>|."""
  a, b = np.random.default_rng(2).normal(size=[2, _SIZE])
  expected = a @ a + b @ b - 2.0 * abs(a @ b)
  found = _distance(np.outer(a, a), np.outer(b, b))
  assert found == pytest.approx(expected, rel=1e-12)


def test_orthogonal_supports():
  """Nothing in common: the sum of the traces."""
  basis = _basis(8)
  first, second = basis[:, :4], basis[:, 4:]
  assert _distance(first @ first.T, second @ second.T) == pytest.approx(
      8.0, rel=1e-12)
  zero = np.zeros([_SIZE, _SIZE])
  assert _distance(first @ first.T, zero) == pytest.approx(4.0, rel=1e-12)
  assert _distance(zero, zero) == 0.0


def test_general_covariances_against_the_matrix_square_root():
  rng = np.random.default_rng(3)
  first, second = [a.T @ a / 40 for a in rng.normal(size=[2, 40, _SIZE])]
  expected = np.trace(first + second - 2.0 * linalg.sqrtm(first @ second).real)
  assert _distance(first, second) == pytest.approx(expected, rel=1e-9)
  assert _distance(second, first) == pytest.approx(expected, rel=1e-9)


def test_equal_distributions_from_few_examples():
  """Fewer examples than features, so that covariances are singular."""
  features = np.random.default_rng(4).normal(size=[9, _SIZE])
  covariance = np.cov(features, rowvar=False)
  distance = _distance(covariance, covariance)
  assert 0.0 <= distance < 1e-13 * np.trace(covariance)


@pytest.mark.parametrize('offset', [0.0, 1e6])
def test_moments_of_batches(offset):
  rng = np.random.default_rng(5)
  features = offset + rng.normal(size=[50, 7]) @ rng.normal(size=[7, 7])
  moments = evaluation.FeatureMoments()
  for start, stop in ((0, 1), (1, 20), (20, 33), (33, 50)):
    moments.update(features[start:stop])
  assert moments.num_examples == 50
  np.testing.assert_allclose(moments.mean, features.mean(0), rtol=1e-13)
  np.testing.assert_allclose(
      moments.covariance, np.cov(features, rowvar=False), rtol=1e-8, atol=1e-9)


def test_moments_are_in_double_precision():
  """Sums of float32 squares would have no digit left."""
  features = (1e4 + np.random.default_rng(6).normal(size=[64, 3])).astype(
      np.float32)
  moments = evaluation.FeatureMoments()
  for i in range(0, 64, 16):
    moments.update(features[i:i + 16])
  np.testing.assert_allclose(
      moments.covariance, np.cov(features.astype(np.float64), rowvar=False),
      rtol=1e-9, atol=1e-9)


def test_what_is_refused():
  moments = evaluation.FeatureMoments()
  for features in (np.zeros([0, 3]), np.zeros(3)):
    with pytest.raises(ValueError, match=r'expected \[B, F\]'):
      moments.update(features)
  moments.update(np.zeros([1, 3]))
  with pytest.raises(ValueError, match=r'expected \[B, 3\], as before'):
    moments.update(np.zeros([1, 4]))
  with pytest.raises(ValueError, match='num_examples=1: expected a number fr'):
    moments.covariance  # noqa: B018
  with pytest.raises(ValueError, match=r'shapes=\(2,\), \(3,\)'):
    evaluation.frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
  with pytest.raises(ValueError, match='covariance=NaN or infinite'):
    _distance(np.eye(2), np.full([2, 2], np.nan))
