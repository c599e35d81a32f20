"""The coupling bijector computes what its layer does."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import layers


@pytest.mark.parametrize('mask, size', [('channel', 2), ('checkerboard', 4)])
def test_values_and_settings_are_those_of_the_layer(mask, size):
  network = keras.layers.Conv2D(size, 3, padding='same')
  bijector = bijectors.AffineCoupling(network, [4, 3, 2], mask, swap=True)
  layer = layers.AffineCoupling(network, mask, swap=True)
  x = tf.random.stateless_normal([5, 4, 3, 2], [0, 1])
  y, log_det = layer.forward_and_log_det(x)
  np.testing.assert_array_equal(bijector.forward(x), y)
  np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), log_det)
