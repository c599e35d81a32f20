"""Dequantisation: bounds, round trips, the formula."""

import numpy as np
import tensorflow as tf

from tests import testing
from tf_resflow import datasets

_LARGEST = np.nextafter(np.float32(1), np.float32(0))


def test_every_level_comes_back():
  for num_levels in (1, 2, 3, 17, 32, 100, 255, 256):
    level = tf.constant(np.arange(num_levels), tf.uint8)
    for noise in (0.0, 1e-30, 0.3, 0.5, 1 - 2.0**-20, _LARGEST, 1.0):
      x = datasets.dequantize(level, tf.fill([num_levels], noise), num_levels)
      assert x.dtype == tf.float32
      assert (x.numpy() >= 0).all() and (x.numpy() < 1).all()
      np.testing.assert_array_equal(datasets.quantize(x, num_levels), level)


def test_equals_the_formula_to_rounding():
  rng = np.random.default_rng(0)
  for num_levels in (17, 256):
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


def test_levels_that_no_byte_holds():
  x = tf.zeros([1])
  for call in (
    lambda num_levels: datasets.dequantize(tf.cast(x, tf.uint8), x, num_levels),
    lambda num_levels: datasets.quantize(x, num_levels)):
    testing.check_refusals(call, [
      (0, 'num_levels=0: expected'), (257, 'num_levels=257: expected')])
