"""Channels of noise: where they stand, and what they weigh."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import loops
from tf_resflow import errors
from tf_resflow import layers


@loops.each([
    ('uniform', stats.uniform()),
    ('gaussian', stats.truncnorm(-4.0, 4.0, 0.5, 0.125))])
def test_noise_stands_behind_the_data(law, reference):
  x = tf.random.stateless_normal([3, 2, 4, 2], [0, 1], dtype=tf.float64)
  noise = layers.NoiseChannels(3, law, dtype='float64')
  y, log_weight = noise.embed(x, seed=5)
  assert y.shape == [3, 2, 4, 5]
  np.testing.assert_array_equal(y[..., :2], x)
  u = y[..., 2:].numpy()
  assert len(np.unique(u)) == u.size
  np.testing.assert_allclose(
      log_weight, -reference.logpdf(u).sum((1, 2, 3)), rtol=1e-12, atol=1e-12)


@loops.each([0, -1, 1.5, '2'])
def test_refuses_numbers_of_channels(num_channels):
  with pytest.raises(errors.InvalidValueError, match=(
      f'^num_channels={num_channels}: expected a whole number from 1')):
    layers.NoiseChannels(num_channels)


def test_refuses_laws():
  with pytest.raises(errors.InvalidValueError, match=(
      '^noise_law=poisson: expected one of uniform, gaussian')):
    layers.NoiseChannels(1, 'poisson')
