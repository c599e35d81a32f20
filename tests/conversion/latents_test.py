"""Latents change between our order and that of the authors' code."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import conversion
from tf_resflow import models


@pytest.fixture(scope='module', name='model')
def fixture_model():
  """Of two scales, the first of which factors half of its channels out."""
  return models.ResidualFlow(models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_blocks=(1, 1), factor_out=True,
      hidden_channels=2, num_dense_blocks=0))


def test_order_of_latents(model):
  assert model.latent_shapes == ((2, 2, 2), (2, 2, 2))
  z = tf.constant([[*range(16)]])
  theirs = conversion.to_channels_first(model, z)
  np.testing.assert_array_equal(
      theirs, [[0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15]])
  np.testing.assert_array_equal(
      conversion.from_channels_first(model, theirs), z)


def test_every_number_of_a_batch_of_unequal_parts():
  """Against a loop over positions; the parts differ in size and in shape."""
  model = models.ResidualFlow(models.ResidualFlowConfig(
      image_shape=(8, 4, 3), num_blocks=(1, 1, 1), factor_out=True,
      hidden_channels=2, num_dense_blocks=0))
  assert model.latent_shapes == ((4, 2, 6), (2, 1, 12), (2, 1, 12))
  z = np.random.default_rng(0).normal(size=[3, model.event_size])
  want, start = np.zeros_like(z), 0
  for h, w, c in model.latent_shapes:
    for i, j, k in np.ndindex(h, w, c):
      want[:, start + (k * h + i) * w + j] = z[:, start + (i * w + j) * c + k]
    start += h * w * c
  theirs = conversion.to_channels_first(model, z)
  np.testing.assert_array_equal(theirs, want)
  np.testing.assert_array_equal(
      conversion.from_channels_first(model, want), z)
  # The two orders are not each other's.
  assert np.any(conversion.from_channels_first(model, z) != want)


@pytest.mark.parametrize('reorder_fn', [
    conversion.to_channels_first, conversion.from_channels_first])
@pytest.mark.parametrize('shape', [(16,), (2, 15), (2, 4, 4), ()])
def test_wrong_shapes_are_named(model, reorder_fn, shape):
  with pytest.raises(ValueError) as error:
    reorder_fn(model, tf.zeros(shape))
  assert str(error.value) == (
      f'z=a tensor of shape {shape}: expected the shape [B, 16].')
