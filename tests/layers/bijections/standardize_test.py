"""Standardisation against its definition."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow import layers


def test_standardize():
  mean, std = np.array([0.4, 0.6]), np.array([0.2, 0.5])
  rng = np.random.default_rng(0)
  x = rng.uniform(size=[3, 4, 5, 2])
  layer = layers.Standardize(mean.tolist(), std.tolist(), dtype='float64')
  y, log_det = layer.forward_and_log_det(tf.constant(x))
  np.testing.assert_allclose(y, (x - mean) / std, rtol=1e-12)
  np.testing.assert_allclose(
      log_det, np.full([3], -20 * np.log(std).sum()), rtol=1e-12)


@loops.each([
    ([], []), ([0.5], [0.5, 0.5]), ([0.5], [0.0]), ([0.5], [-1.0])])
def test_standardize_refuses_statistics(mean, std):
  with pytest.raises(ValueError, match='positive numbers, one per number'):
    layers.Standardize(mean, std)


def test_standardize_refuses_other_channels():
  with pytest.raises(ValueError, match='expected 2 channels, as mean'):
    layers.Standardize([0.5, 0.5], [1.0, 1.0]).build((None, 4, 4, 3))
