"""Learned dequantisation: densities of noise, and cells that are kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import datasets
from tf_resflow import layers


def make_affine(columns=(0,), num_levels=1, dtype='float64', weight=0.0):
  """Returns one whose noise in logits is scaled and shifted by all numbers."""
  learned = layers.VariationalDequantization(
      layers.ConditionalAffine(
          2, kernel_initializer=keras.initializers.Constant(weight),
          dtype=dtype),
      keras.layers.Dense(2, 'tanh', dtype=dtype, kernel_initializer='ones'),
      columns, num_levels)
  learned.build((None, 3))
  return learned


def test_noise_is_that_of_a_logistic_normal_density():
  """Of `f` affine: `v = sigmoid(a logit(u) + b)`, whose density is known."""
  learned = make_affine(weight=0.25)
  u = np.linspace(0.05, 0.95, 7)
  x = np.stack([3.0 + u, u, -u], axis=1)
  y, log_det = learned.forward_and_log_det(tf.constant(x))
  np.testing.assert_array_equal(y[:, 1:], x[:, 1:])
  v = y[:, 0].numpy() - 3.0
  # The network sees the middle of the cell and the other numbers.
  condition = 2.0 * np.tanh(np.sum([3.5 + 0.0 * u, u, -u], axis=0))
  raw = 0.25 * condition
  scale = np.exp(-3.0 * np.tanh(raw / 3.0))
  logit = np.log(u / (1.0 - u))
  np.testing.assert_allclose(
      np.log(v / (1.0 - v)), (logit - raw) * scale, rtol=1e-9)
  # dv/du by the rule of the chain.
  np.testing.assert_allclose(
      log_det, np.log(v * (1.0 - v) * scale / (u * (1.0 - u))), rtol=1e-9)


def test_it_begins_as_the_identity():
  """Then log-densities are those of uniform noise."""
  x = datasets.dequantize(
      tf.constant([[0, 1, 16], [16, 8, 0]], tf.uint8),
      tf.constant([[0.2, 0.999, 0.3], [1.0, 0.5, 0.01]]), 17)
  learned = make_affine([0, 1, 2], 17, 'float32')
  y, log_det = learned.forward_and_log_det(x)
  np.testing.assert_allclose(y, x, atol=1e-5)
  np.testing.assert_allclose(log_det, 0.0, atol=1e-5)


@pytest.mark.parametrize('num_levels', [17, 256])
def test_images_stay_in_their_cells(num_levels):
  """All levels, at the ends of their cells, and noise moved far."""
  levels = np.repeat(np.arange(num_levels, dtype=np.uint8), 3)
  noise = np.tile(np.float32([0.0, 0.5, 1.0]), num_levels)
  x = datasets.dequantize(
      np.stack([levels] * 3, axis=1), np.stack([noise] * 3, axis=1), num_levels)
  for weight in 9.0, -9.0:
    learned = make_affine([0, 1, 2], num_levels, 'float32', weight)
    y, log_det = learned.forward_and_log_det(x)
    assert np.all(np.isfinite(log_det)) and np.ptp(y - x) > 0.1 / num_levels
    for values in y, learned.inverse(y):
      np.testing.assert_array_equal(
          datasets.quantize(values, num_levels)[:, 0], levels)


def test_large_integers_stay_in_their_cells():
  """Floats between which there is no room for noise."""
  learned = make_affine([0], 1, 'float32', weight=9.0)
  k = np.float32([2**20, -2**20, 2**23])
  x = np.stack([k + 0.25, 0.0 * k, 0.0 * k], axis=1)
  y, _ = learned.forward_and_log_det(x)
  np.testing.assert_array_equal(np.floor(y[:, 0]), k)


@pytest.mark.parametrize('columns, num_levels, message', [
    ([], 1, 'columns=[]: expected different indices of the last axis'),
    ([1, 1], 1, 'columns=[1, 1]: expected different indices of the last'),
    ([3], 1, 'columns=3: expected indices below 3'),
    ([0], 0, 'num_levels=0: expected a number >= 1')])
def test_refusals(columns, num_levels, message):
  testing.check_refusal(make_affine, dict(
      columns=columns, num_levels=num_levels), message)
