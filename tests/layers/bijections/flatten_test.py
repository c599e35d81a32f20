"""Flatten: the order of the numbers."""

import numpy as np
import tensorflow as tf

from tf_resflow import layers


def test_numbers_keep_their_order():
  x = tf.reshape(tf.range(24.0), [2, 3, 2, 2])
  flatten = layers.Flatten()
  y, log_det = flatten.forward_and_log_det(x)
  np.testing.assert_array_equal(y, np.reshape(x, [2, 12]))
  np.testing.assert_array_equal(log_det, np.zeros(2))
  np.testing.assert_array_equal(flatten.inverse(y), x)
  assert flatten.forward_and_log_det(x[:0])[0].shape == [0, 12]
