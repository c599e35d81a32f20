"""The squeeze bijector computes what its layer does."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import layers


@pytest.mark.parametrize('factor', [2, 3])
def test_values_and_shapes_are_those_of_the_layer(factor):
  bijector = bijectors.Squeeze([6, 6, 2], factor=factor)
  x = tf.random.stateless_normal([4, 6, 6, 2], [0, 1])
  y = layers.Squeeze(factor)(x)
  np.testing.assert_array_equal(bijector.forward(x), y)
  np.testing.assert_array_equal(
      bijector.forward_log_det_jacobian(x), np.zeros(4))
  assert bijector.forward_event_shape([6, 6, 2]) == y.shape[1:]
