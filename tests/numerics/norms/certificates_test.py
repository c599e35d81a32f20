"""Tests of the certified operator-norm bounds.

Oracles: the SVD of the operator materialised through `tf.nn.conv2d`, closed
forms, and exact rational arithmetic for the rounding margins. Not tested: the
time at paper size.
"""

import fractions
import math
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow.numerics.norms import certificates

_SHAPES = [(1, 1), (1, 5), (2, 2), (5, 3), (6, 8)]


def _conv_matrix(kernel, spatial_shape):
  """[H W in, H W out], the stride-1 SAME convolution as a matrix."""
  num_in = kernel.shape[2]
  size = np.prod(spatial_shape) * num_in
  basis = np.eye(size).reshape([size, *spatial_shape, num_in])
  return tf.nn.conv2d(basis, kernel, 1, 'SAME').numpy().reshape([size, -1])


def _conv_norm(kernel, spatial_shape):
  return np.linalg.norm(_conv_matrix(kernel, spatial_shape), 2)


def _kernel(kind, size, num_in=2, num_out=3, seed=0):
  rng = np.random.default_rng(seed)
  shape = [size, size, num_in, num_out]
  if kind == 'random':
    return rng.normal(size=shape)
  if kind == 'constant':
    return np.ones(shape)
  if kind == 'delta':
    kernel = np.zeros(shape)
    kernel[size // 2, size // 2] = rng.normal(size=shape[2:])
    return kernel
  if kind == 'corner':
    kernel = np.zeros(shape)
    kernel[0, -1] = rng.normal(size=shape[2:])
    return kernel
  if kind == 'alternating':
    signs = (-1.0) ** np.add.outer(np.arange(size), np.arange(size))
    return signs[:, :, np.newaxis, np.newaxis] * np.ones(shape)
  factors = [rng.normal(size=n) for n in shape]
  return np.einsum('i,j,a,b->ijab', *factors)  # rank one


_KINDS = ['random', 'constant', 'delta', 'corner', 'alternating', 'rank_one']


@loops.each(_KINDS, [(1, 3, 1), (2, 2, 3), (3, 3, 1), (5, 2, 3)])
def test_conv_bounds_are_never_below_the_svd(kind, *sizes):
  kernel = _kernel(kind, *sizes)
  for shape in _SHAPES:
    norm = _conv_norm(kernel, shape)
    assert certificates.conv_dft_bound(kernel, shape) >= norm
    certificate = certificates.certified_norm_bound(kernel, shape)
    # An operator may vanish where its kernel does not (taps that always see
    # padding); the margin then is the square root of the rounding error.
    assert norm <= certificate.bound <= norm * (1 + 1e-6) + 1e-7


@loops.each([(3, 3), (2, 2), (4, 1), (5, 3)], [(2, 3), (3, 2)])
def test_conv_gram_matches_the_materialised_operator(*kernel_shape):
  rng = np.random.default_rng(0)
  channels = kernel_shape[2:]
  kernel = rng.normal(size=kernel_shape)
  for shape in [(4, 5), (1, 3), (2, 2)]:
    matrix = _conv_matrix(kernel, shape)
    if channels[0] > channels[1]:
      matrix = matrix.T
    expected = matrix @ matrix.T
    gram, error = certificates.conv_gram(kernel, shape)
    assert np.linalg.norm(gram - expected, 2) <= 2 * error
    assert error <= 1e-12 * np.linalg.norm(gram, 2)


@loops.each([7, 10])
def test_dft_bound_is_a_few_percent_above_the_norm(side):
  for seed in range(3):
    kernel = _kernel('random', 3, 2, 4, seed)
    norm = _conv_norm(kernel, (side, side))
    assert 1.0 <= certificates.conv_dft_bound(kernel, (side, side)) / norm < 1.1


def test_dft_gap_shrinks_quadratically():
  # Norm of the all-ones 3-tap filter on H points: 1 + 2 cos(pi / (H + 1)).
  kernel = np.ones([3, 3, 1, 1])

  def gap(side):
    norm = (1 + 2 * math.cos(math.pi / (side + 1))) ** 2
    return certificates.conv_dft_bound(kernel, (side, side)) / norm - 1

  assert 1.5 < gap(8) / gap(12) < 2.5
  assert 3.3 < gap(20) / gap(40) < 4.3


@loops.each(
    [[1, 1], [1, 7], [5, 5], [40, 13], [60, 200]], [np.float32, np.float64])
def test_dense_bound_is_tight_and_never_below_the_svd(shape, dtype):
  rng = np.random.default_rng(0)
  rank_one = np.outer(rng.normal(size=shape[0]), rng.normal(size=shape[1]))
  for matrix in (rng.normal(size=shape), np.eye(*shape), rank_one):
    matrix = matrix.astype(dtype)
    norm = np.linalg.norm(matrix.astype(np.float64), 2)
    certificate = certificates.certified_norm_bound(matrix)
    assert certificate.methods == ('dense',)
    assert norm <= certificate.bound <= norm * (1 + 1e-6)


def test_dense_margin_covers_rounding_where_the_svd_does_not():
  num_below, fraction = 0, fractions.Fraction
  for seed in range(20):
    rng = np.random.default_rng(seed)
    # Few bits, so that the products below are exact.
    left, right = (
        rng.integers(-2**20, 2**20, size=n).astype(np.float64) for n in (9, 6))
    exact = math.prod(sum(fraction(x)**2 for x in v) for v in (left, right))
    matrix = np.outer(left, right)
    num_below += fraction(np.linalg.norm(matrix, 2))**2 < exact
    kernel = np.zeros([3, 3, 9, 6])
    kernel[1, 1] = matrix
    for bound in (certificates.dense_bound(matrix),
                  certificates.conv_dft_bound(kernel, (3, 3)),
                  certificates.certified_norm_bound(kernel, (3, 3)).bound):
      assert fraction(bound)**2 >= exact
  assert num_below > 0


def _exact_trace(gram, power):
  """trace(gram^power) in rational arithmetic; power is a power of two."""
  # NumPy's products of object arrays use Python's exact arithmetic.
  matrix = np.vectorize(fractions.Fraction, otypes=[object])(gram)
  for _ in range(power.bit_length() - 1):
    matrix = matrix @ matrix
  return np.trace(matrix)


@loops.each([0, 1, 3, 5])
def test_gram_trace_bound_is_not_below_the_exact_trace_bound(num_squarings):
  rng = np.random.default_rng(0)
  factor = rng.integers(-8, 9, size=[4, 4]).astype(np.float64)
  gram = factor @ factor.T
  with mock.patch.object(certificates, '_NUM_SQUARINGS', num_squarings):
    bound = certificates.gram_trace_bound(gram)
  # num_squarings squarings give the bound with k = num_squarings + 1.
  exponent = 2 ** (num_squarings + 2)
  exact = _exact_trace(gram, exponent // 2)
  assert fractions.Fraction(bound) ** exponent >= exact
  assert fractions.Fraction(bound / (1 + 1e-13)) ** exponent < exact


def test_gram_trace_bound_stops_at_the_target():
  factor = np.random.default_rng(0).normal(size=[20, 20])
  gram = factor @ factor.T
  norm = np.linalg.norm(factor, 2)
  early = certificates.gram_trace_bound(gram, target=1.2 * norm)
  assert 1.01 * norm < early <= 1.2 * norm
  # A target that cannot be met ends at the tightest bound.
  full = certificates.gram_trace_bound(gram, target=0.5 * norm)
  assert norm <= full <= norm * (1 + 1e-6)


def test_gram_error_is_added():
  gram = np.diag([1.0, 0.25])
  bound = certificates.gram_trace_bound(gram, gram_error=0.44)
  assert 1.2 <= bound <= 1.2 * (1 + 1e-6)


@loops.each([1e-200, 1e-20, 1e20, 1e200])
def test_bounds_scale_with_the_kernel(scale):
  kernel = _kernel('random', 3)
  norm = _conv_norm(kernel, (4, 4)) * scale
  certificate = certificates.certified_norm_bound(kernel * scale, (4, 4))
  assert norm * (1 - 1e-14) <= certificate.bound <= norm * (1 + 1e-6)
  dense = certificates.dense_bound(kernel[0, 0] * scale)
  expected = np.linalg.norm(kernel[0, 0], 2) * scale
  assert expected * (1 - 1e-14) <= dense <= expected * (1 + 1e-6)


def test_zero_kernel():
  assert certificates.dense_bound(np.zeros([3, 2])) < 1e-70
  certificate = certificates.certified_norm_bound(
      np.zeros([3, 3, 1, 2]), (4, 4), target=0.98)
  assert 0.0 <= certificate.bound < 1e-70


def test_target_chooses_the_method():
  kernel = _kernel('random', 3)
  dft = certificates.conv_dft_bound(kernel, (5, 5))
  norm = _conv_norm(kernel, (5, 5))

  def certify(target):
    return certificates.certified_norm_bound(kernel, (5, 5), target)

  assert certify(dft) == certificates.Certificate(dft, ('dft',))
  between = certify(0.5 * (dft + norm))
  assert between.methods == ('gram',) and between.bound <= 0.5 * (dft + norm)
  assert certify(0.5 * norm).bound >= norm
  large = certificates.certified_norm_bound(
      np.ones([3, 3, 1, 1]), (65, 64), 1.0)
  assert large.methods == ('dft',)


def test_chunks_of_frequencies_cover_all_of_them(monkeypatch):
  kernel = _kernel('random', 3)
  whole = certificates.conv_dft_bound(kernel, (6, 5))
  monkeypatch.setattr(certificates, '_CHUNK_SIZE', 7 * kernel[0, 0].size)
  assert certificates.conv_dft_bound(kernel, (6, 5)) == pytest.approx(
      whole, rel=1e-14)


@loops.each([
    ([[np.nan]], None, r'kernel=.* \(1, 1\) with 1 numbers that are not fin'),
    (np.ones([2, 2, 2]), None, r'kernel=an array of shape \(2, 2, 2\): expec'),
    (np.ones([3, 3]), (4, 4), 'kernel=.*: expected .* a matrix .* without'),
    (np.ones([3, 3, 1, 1]), None, 'kernel=.*: expected .* with spatial_sh')])
def test_bad_input_is_refused(kernel, spatial_shape, match):
  with pytest.raises(ValueError, match=match):
    certificates.certified_norm_bound(kernel, spatial_shape)
