"""Dense layers of bounded norm, against products of matrices."""

import numpy as np
import tensorflow as tf

from tf_resflow import layers


def test_values_are_those_of_the_divided_kernel():
  layer = layers.SpectralDense(3, coeff=0.5, seed=1, dtype='float64')
  x = tf.random.stateless_normal([4, 5], [0, 1], dtype=tf.float64)
  layer.build((None, 5))
  layer.tolerance = 1e-9
  layer.kernel.assign(3.0 * layer.kernel.value)
  kernel = layer.kernel.numpy()
  norm = np.linalg.norm(kernel, 2)
  assert norm > 0.5
  expected = x @ (0.5 / norm * kernel) + layer.bias.numpy()
  np.testing.assert_allclose(layer(x), expected, rtol=1e-7)
  assert layer.compute_output_shape((None, 5)) == (None, 3)


def test_zero_kernel():
  layer = layers.SpectralDense(3, kernel_initializer='zeros')
  with tf.GradientTape() as tape:
    y = layer(tf.ones([2, 3]))
  gradient = tape.gradient(y, layer.kernel.value)
  np.testing.assert_array_equal(gradient, 2.0 * np.ones([3, 3]))
