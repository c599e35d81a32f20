"""Tests of the block power iteration and of the differentiable norm.

Oracle: the SVD of the materialised operator, in float64.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tests.numerics.norms import kernels
from tf_resflow.numerics.norms import operators
from tf_resflow.numerics.norms import power_iteration

_MAX_DIRECT_SIZE = power_iteration._MAX_DIRECT_SIZE


@pytest.fixture(autouse=True)
def _iterates_small_maps(monkeypatch):
  """As larger ones are iterated."""
  monkeypatch.setattr(power_iteration, '_MAX_DIRECT_SIZE', 0)


def _block(size, num_vectors=4, dtype=tf.float32):
  rows = kernels.random([size, min(size, num_vectors)], seed=1)
  return tf.constant(np.linalg.qr(rows)[0].T, dtype)


def _svd_norm(kernel, spatial_shape=None):
  return np.linalg.norm(kernels.matrix(operators.LayerOperator(
      tf.constant(kernel, tf.float64), spatial_shape)), 2)


@loops.each([
    *((*shape, 4) for shape in kernels.SHAPES),
    *((*shape, 1) for shape in kernels.SHAPES[2:5])])
def test_sigma_is_the_largest_singular_value(
    shape, spatial_shape, num_vectors):
  operator = kernels.operator(shape, spatial_shape, dtype=tf.float32)
  v = _block(operator.size, num_vectors)
  result = power_iteration.power_iteration(operator, v)
  expected = _svd_norm(kernels.random(shape), spatial_shape)
  assert result.residual <= 1e-3
  assert float(result.norm) == pytest.approx(expected, rel=1e-3)
  assert float(result.norm) <= expected * (1 + 1e-6)
  assert result.rows.shape == v.shape
  np.testing.assert_allclose(
      result.rows @ tf.transpose(result.rows), np.eye(v.shape[0]), atol=1e-4)

  warm = power_iteration.power_iteration(operator, result.rows)
  assert warm.num_steps == 0 and warm.residual <= 1e-3
  assert float(warm.norm) == pytest.approx(float(result.norm), rel=1e-5)


def test_small_maps_need_no_step(monkeypatch):
  monkeypatch.setattr(power_iteration, '_MAX_DIRECT_SIZE', _MAX_DIRECT_SIZE)
  for shape, spatial_shape in kernels.SHAPES:
    operator = kernels.operator(shape, spatial_shape, dtype=tf.float32)
    result = power_iteration.power_iteration(
        operator, _block(operator.size, 2), is_current=tf.constant(False))
    assert result.num_steps == 0 and result.residual <= 1e-5
    assert float(result.norm) == pytest.approx(
        _svd_norm(kernels.random(shape), spatial_shape), rel=1e-6)
    np.testing.assert_allclose(
        result.rows @ tf.transpose(result.rows), np.eye(min(operator.size, 2)),
        atol=1e-5)


def test_never_above_the_norm_however_few_steps():
  operator = kernels.operator((3, 3, 2, 6), (5, 5), dtype=tf.float32)
  expected = _svd_norm(kernels.random((3, 3, 2, 6)), (5, 5))
  sigmas = []
  for max_steps in (0, 1, 2, 4, 8):
    result = power_iteration.power_iteration(
        operator, _block(operator.size), tolerance=0.0, max_steps=max_steps)
    assert result.num_steps == max_steps and result.residual > 0.0
    sigmas.append(float(result.norm))
  assert max(sigmas) <= expected * (1 + 1e-6)
  assert sigmas == sorted(sigmas) and sigmas[0] < 0.9 * expected


def _orthogonal(size, seed):
  return np.linalg.qr(kernels.random((size, size), seed))[0]


_DEGENERATE = {
    'zero': np.zeros([6, 9]),
    'one_entry': np.eye(6, 9) * (np.arange(6) == 2)[:, np.newaxis],
    'two_entries': np.diag([1.0, 0.5, 0.0, 0.0, 0.0, 0.0]),
    'rank_one': np.outer(kernels.random(6), kernels.random(9)),
    'rank_two': kernels.random((6, 2)) @ kernels.random((2, 9)),
    'ones': np.ones([6, 9]),
    'identity': np.eye(6),
    'orthogonal': _orthogonal(6, 3),
    'tiny': 1e-12 * kernels.random((6, 9)),
}


@loops.each([
    *((name, tf.float32) for name in _DEGENERATE), ('zero', tf.float64),
    ('rank_two', tf.float64)])
def test_degenerate_kernels_keep_the_block_orthonormal(name, dtype):
  kernel = _DEGENERATE[name]
  operator = operators.LayerOperator(tf.constant(kernel, dtype))
  v = _block(6, dtype=dtype)
  for _ in range(3):
    # Saved vectors are the next start, so a NaN in any row would spread.
    result = power_iteration.power_iteration(operator, v, tolerance=1e-5)
    v = result.rows
    np.testing.assert_allclose(v @ tf.transpose(v), np.eye(4), atol=1e-4)
    assert float(result.norm) == pytest.approx(
        np.linalg.norm(kernel, 2), rel=1e-5)
    assert result.residual <= 1e-5


_SINGULAR_VALUES = np.array([1.0, 0.95, 0.9, 0.8, 0.5, 0.4, 0.3, 0.2])
_LEFT, _RIGHT = _orthogonal(8, 0), _orthogonal(8, 1)


def test_block_sees_the_next_in_rank_before_it_leads():
  # From one update to the next singular values move little. What comes fifth
  # enters the block while it rises, and is there when it takes the lead.
  values, v = _SINGULAR_VALUES.copy(), tf.constant(_RIGHT.T[:4], tf.float32)
  rng = np.random.default_rng(2)
  for fifth in np.linspace(0.5, 1.1, 25):
    values[4] = fifth
    kernel = _RIGHT @ np.diag(values) @ _LEFT + 0.01 * rng.normal(size=[8, 8])
    result = power_iteration.power_iteration(
        operators.LayerOperator(tf.constant(kernel, tf.float32)), v)
    v = result.rows
    assert float(result.norm) == pytest.approx(
        np.linalg.norm(kernel, 2), rel=1e-3)
  assert float(result.norm) > 1.05


@loops.each([kernels.SHAPES[i] for i in (0, 1, 3, 4, 11)])
def test_derivative_is_that_of_the_svd_norm(shape, spatial_shape):
  kernel = tf.constant(kernels.random(shape))
  with tf.GradientTape() as tape:
    tape.watch(kernel)
    operator = operators.LayerOperator(kernel, spatial_shape)
    result = power_iteration.power_iteration(
        operator, _block(operator.size, dtype=tf.float64), tolerance=1e-9,
        max_steps=5000)
    sigma = power_iteration.spectral_norm(operator, result.rows)
  assert float(sigma) == pytest.approx(float(result.norm), rel=1e-12)
  gradient = tape.gradient(sigma, kernel)
  for seed in (5, 6):
    direction = kernels.random(shape, seed)
    expected = testing.central_difference(
        lambda k: _svd_norm(k, spatial_shape), kernel, direction)
    assert np.sum(gradient * direction) == pytest.approx(expected, rel=1e-6)


@loops.each([False, True])
def test_traced_equals_eager(jit_compile):
  kernel = tf.constant(kernels.random((3, 3, 2, 4)))
  v = _block(32, dtype=tf.float64)

  def run(kernel, v):
    return power_iteration.power_iteration(
        operators.LayerOperator(kernel, (4, 4)), v, tolerance=1e-6)

  eager = run(kernel, v)
  traced = tf.function(run, jit_compile=jit_compile)(kernel, v)
  assert traced.num_steps == eager.num_steps
  assert float(traced.norm) == pytest.approx(float(eager.norm), rel=1e-12)


def test_a_current_block_is_kept():
  operator = kernels.operator((20, 30))
  expected = _svd_norm(operator.kernel)

  def advance(v, tolerance, is_current):
    result = power_iteration.power_iteration(
        operator, v, tolerance, is_current=tf.constant(is_current))
    assert result.residual <= tolerance
    np.testing.assert_allclose(result.norm, expected, rtol=1e-10)
    return result

  # One that says that it is, and misses the tolerance, is advanced; also one
  # whose first vector is the best.
  for num_vectors in (1, 4):
    start = _block(operator.size, num_vectors, tf.float64)
    result = advance(start, 1e-8, True)
    assert result.num_steps > 0
  kept = advance(result.rows, 1e-7, True)
  np.testing.assert_array_equal(kept.rows, result.rows)
  rotated = advance(result.rows, 1e-7, False)
  assert kept.num_steps == rotated.num_steps == 0
  np.testing.assert_allclose(rotated.norm, kept.norm, rtol=1e-12)


def test_a_block_of_another_map_is_not_kept():
  """The first vector is a singular one, of the second singular value."""
  operator = operators.LayerOperator(
      tf.constant(np.diag([1.0, 3.0, 0.5, 0.2, 0.1])))
  result = power_iteration.power_iteration(
      operator, tf.eye(5, dtype=tf.float64)[:2], is_current=tf.constant(True))
  np.testing.assert_allclose(result.norm, 3.0, rtol=1e-12)


@loops.each([
    ([2, 40], 'block'), ([40, 2], 'zeros'), ([3, 3], 'same'), ([1, 5], 'block'),
    ([5, 1], 'zeros')])
def test_all_directions_need_no_start_and_no_step(shape, start):
  operator = kernels.operator(shape)
  v = {'block': _block(operator.size, dtype=tf.float64),
       'zeros': tf.zeros([operator.size] * 2, tf.float64),
       'same': tf.ones([operator.size] * 2, tf.float64)}[start]
  result = power_iteration.power_iteration(
      operator, v, tolerance=1e-10, min_steps=3)
  assert result.num_steps == 0 and result.residual <= 1e-10
  np.testing.assert_allclose(
      result.norm, _svd_norm(operator.kernel), rtol=1e-12)
  np.testing.assert_allclose(
      result.rows @ tf.transpose(result.rows), np.eye(operator.size),
      atol=1e-12)
  np.testing.assert_allclose(
      tf.norm(operator.matvec(result.rows), axis=1),
      np.linalg.svd(operator.kernel, compute_uv=False), rtol=1e-10)


@loops.each([np.nan, np.inf])
def test_all_directions_of_a_diverged_kernel_have_no_finite_norm(value):
  kernel = np.full([2, 4], value)
  result = power_iteration.power_iteration(
      operators.LayerOperator(tf.constant(kernel)),
      tf.eye(2, dtype=tf.float64))
  assert not np.isfinite(result.norm) and not np.isfinite(result.residual)
