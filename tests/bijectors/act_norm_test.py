"""The ActNorm bijector computes what its layer does."""

import numpy as np
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import layers


def test_values_and_settings_are_those_of_the_layer():
  bijector = bijectors.ActNorm([2, 2, 3], variance_floor=4.0)
  layer = layers.ActNorm(variance_floor=4.0)
  x = 0.1 * tf.random.stateless_normal([8, 2, 2, 3], [0, 1])
  expected, log_det = layer.forward_and_log_det(x)
  np.testing.assert_array_equal(bijector.forward(x), expected)
  np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), log_det)
  # The floor is at work.
  assert np.std(expected) < 0.1


def test_takes_a_layer_and_shares_it_with_its_copies():
  layer = layers.ActNorm()
  bijector = bijectors.ActNorm([3], layer=layer)
  assert bijector.layer is layer is bijector.copy(name='other').layer
