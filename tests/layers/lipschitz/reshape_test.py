"""Reshape keeps the numbers, and every norm."""

import numpy as np
import tensorflow as tf

from tests import loops
from tf_resflow import layers


@loops.each(
    [((-1,), (12,)), ((3, 4), (3, 4)), ((2, 2, 3), (2, 2, 3))], [0, 3])
def test_values(target_shape, expected, batch_size):
  x = tf.reshape(tf.range(12.0 * batch_size), [batch_size, 6, 2])
  layer = layers.Reshape(target_shape)
  y = layer(x)
  assert y.shape == (batch_size, *expected)
  np.testing.assert_array_equal(np.ravel(y), np.ravel(x))
  assert layer.compute_output_shape((None, 6, 2)) == (None, *expected)
  assert layer.certificate() == (1.0, (), None)
