"""Fails where an upgrade of Keras changes what is used beyond public names."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import private_keras_apis


def test_sublayers():
  inner = keras.Sequential([keras.Input([3]), keras.layers.Dense(2)])
  outer = keras.Sequential([inner, keras.layers.Dense(4)])
  found = list(private_keras_apis.sublayers(outer))
  assert {inner.layers[0], outer.layers[1], inner, outer} <= set(found)


@pytest.mark.parametrize(
    'optimizer_class', [keras.optimizers.Adam, keras.optimizers.AdamW])
def test_adam_moments(optimizer_class):
  """Those that Keras' own update changes."""
  optimizer = optimizer_class(0.1, beta_1=0.5, beta_2=0.75)
  variables = [keras.Variable([1.0, 2.0]), keras.Variable(3.0)]
  optimizer.build(variables)
  gradients = [tf.constant([2.0, 4.0]), tf.constant(8.0)]
  optimizer.apply(gradients, variables)
  for variable, gradient in zip(variables, gradients, strict=True):
    m, v = private_keras_apis.adam_moments(optimizer, variable)
    np.testing.assert_allclose(m, 0.5 * gradient)
    np.testing.assert_allclose(v, 0.25 * gradient**2)
