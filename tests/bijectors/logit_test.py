"""The logit bijector computes what its layer does."""

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import bijectors
from tf_resflow import layers


@pytest.mark.parametrize('alpha', [0.05, 0.2])
def test_values_are_those_of_the_layer(alpha):
  bijector = bijectors.Logit([2, 2, 1], alpha=alpha, dtype='float64')
  x = tf.random.stateless_uniform([4, 2, 2, 1], [0, 1], dtype=tf.float64)
  y, log_det = layers.Logit(alpha, dtype='float64').forward_and_log_det(x)
  np.testing.assert_array_equal(bijector.forward(x), y)
  np.testing.assert_array_equal(bijector.forward_log_det_jacobian(x), log_det)
