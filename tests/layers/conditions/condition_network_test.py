"""Any Keras layer as a network of conditions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import layers


def test_a_model_of_images():
  model = keras.Sequential([
      keras.layers.Conv2D(3, 2), keras.layers.GlobalAveragePooling2D()])
  network = layers.KerasNetwork(model, [4, 4, 1])
  assert network.size == 3 and network.condition_spec.shape == (4, 4, 1)
  images = tf.random.stateless_normal([2, 4, 4, 1], [0, 0])
  np.testing.assert_array_equal(network(images), model(images))
  assert len(network.trainable_variables) == 2


@pytest.mark.parametrize('layer, shape, outputs', [
    (keras.layers.Conv2D(3, 2), [4, 4, 1], '[None, 3, 3, 3]'),
    (keras.layers.Identity(), [], '[None]')])
def test_refuses_what_returns_no_vector(layer, shape, outputs):
  with pytest.raises(errors.InvalidValueError) as error:
    layers.KerasNetwork(layer, shape)
  assert f'not {outputs}' in str(error.value)
  assert str(error.value).startswith(f'condition_network={layer.name}')


@pytest.mark.parametrize('layer', [
    keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)])
def test_refuses_what_it_would_not_train(layer):
  model = keras.Sequential([keras.layers.Dense(3), layer])
  with pytest.raises(errors.InvalidValueError) as error:
    layers.KerasNetwork(model, [2])
  assert str(error.value).startswith(
      f'condition_network={type(layer).__name__}')
