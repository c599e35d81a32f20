"""Tests of dequantisation: bounds, round trips, the formula."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import datasets

_LARGEST = np.nextafter(np.float32(1), np.float32(0))
_NOISES = (0.0, 1e-30, 0.3, 0.5, 1 - 2.0**-20, _LARGEST, 1.0)


def _levels(num_levels):
  return tf.constant(np.arange(num_levels), tf.uint8)


@pytest.mark.parametrize('noise', _NOISES)
@pytest.mark.parametrize('num_levels', [1, 2, 3, 17, 32, 100, 255, 256])
def test_every_level_comes_back(num_levels, noise):
  level = _levels(num_levels)
  x = datasets.dequantize(level, tf.fill([num_levels], noise), num_levels)
  assert x.dtype == tf.float32
  assert (x.numpy() >= 0).all()
  assert (x.numpy() < 1).all()
  np.testing.assert_array_equal(datasets.quantize(x, num_levels), level)


def test_plain_float32_arithmetic_would_leave_the_cell():
  level = np.arange(256, dtype=np.float32)
  assert ((level + _LARGEST) / np.float32(256)).max() == 1.0


@pytest.mark.parametrize('num_levels', [17, 32, 256])
def test_equals_the_formula_to_rounding(num_levels):
  rng = np.random.default_rng(0)
  level = rng.integers(0, num_levels, [4, 8, 8, 3])
  noise = rng.uniform(size=level.shape).astype(np.float32)
  x = datasets.dequantize(tf.constant(level, tf.uint8), noise, num_levels)
  oracle = (level + noise.astype(np.float64)) / num_levels
  np.testing.assert_allclose(x.numpy(), oracle, rtol=0, atol=2.0**-23)


def test_quantize_clips_what_lies_outside():
  x = tf.constant([-3.0, -1e-6, 0.0, 0.999, 1.0, 7.0])
  level = datasets.quantize(x, 256)
  assert level.dtype == tf.uint8
  np.testing.assert_array_equal(level, [0, 0, 0, 255, 255, 255])


@pytest.mark.parametrize('num_levels', [0, 257])
def test_refuses_levels_that_no_byte_holds(num_levels):
  x = tf.zeros([1])
  with pytest.raises(ValueError, match=f'num_levels={num_levels}: expected'):
    datasets.dequantize(tf.cast(x, tf.uint8), x, num_levels)
  with pytest.raises(ValueError, match=f'num_levels={num_levels}: expected'):
    datasets.quantize(x, num_levels)
