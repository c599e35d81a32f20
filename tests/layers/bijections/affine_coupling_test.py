"""Affine couplings: views, small scales, and what they refuse.

tests/conversion/weights_test.py compares them with another implementation.
"""

import keras
import numpy as np
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import layers


def test_a_shape_of_its_own_is_a_view_of_the_event():
  rng = np.random.default_rng(0)
  x = tf.constant(rng.normal(size=[3, 2 * 2 * 4]))

  def make(**kwargs):
    return layers.AffineCoupling(
        keras.layers.Dense(4, dtype='float64', kernel_initializer=(
            keras.initializers.GlorotUniform(3))), **kwargs)

  y, log_det = make(shape=(2, 2, 4)).forward_and_log_det(x)
  image, expected = make().forward_and_log_det(tf.reshape(x, [3, 2, 2, 4]))
  np.testing.assert_array_equal(y, np.reshape(image, [3, -1]))
  np.testing.assert_array_equal(log_det, expected)


def test_small_scales_stay_finite():
  """The logarithm of a sigmoid that is 0 in float32 would be infinite."""
  network = keras.layers.Dense(2, kernel_initializer='zeros', bias_initializer=(
      lambda shape, dtype: tf.constant([-150.0, 1.0], dtype)))
  y, log_det = layers.AffineCoupling(network).forward_and_log_det(
      tf.ones([1, 2]))
  np.testing.assert_allclose(y, [[1.0, 1.0]])
  np.testing.assert_allclose(log_det, [-148.0])


def build(event_shape, size=4, **kwargs):
  layers.AffineCoupling(
      keras.layers.Dense(size, name='f'), **kwargs).build((None, *event_shape))


@loops.each([
    (dict(event_shape=(4,), size=3),
     'network=f: expected outputs (4,) for inputs (2,), not (3,). They are '),
    (dict(event_shape=(2, 2, 2), mask='checkerboard', size=2),
     'network=f: expected outputs (2, 2, 4) for inputs (2, 2, 2), not (2, '),
    (dict(event_shape=(4,), mask='rows'), 'mask=rows: expected one of channel'),
])
def test_refusals(values, message):
  testing.check_refusal(build, values, message)


def test_constrained_layers_of_a_network_are_found():
  dense = layers.SpectralDense(4)
  coupling = layers.AffineCoupling(keras.Sequential([dense]))
  assert coupling.constrained_layers() == [dense]
