"""Networks of conditions: Keras layers, of labels, of vectors."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
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


@loops.each([
    (keras.layers.Conv2D(3, 2), [4, 4, 1], '[None, 3, 3, 3]'),
    (keras.layers.Identity(), [], '[None]')])
def test_refuses_what_returns_no_vector(layer, shape, outputs):
  with pytest.raises(errors.InvalidValueError) as error:
    layers.KerasNetwork(layer, shape)
  assert f'not {outputs}' in str(error.value)
  assert str(error.value).startswith(f'condition_network={layer.name}')


@loops.each([
    keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)])
def test_refuses_what_it_would_not_train(layer):
  model = keras.Sequential([keras.layers.Dense(3), layer])
  with pytest.raises(errors.InvalidValueError) as error:
    layers.KerasNetwork(model, [2])
  assert str(error.value).startswith(
      f'condition_network={type(layer).__name__}')


def test_a_label_is_looked_up_and_its_gradient_is_dense():
  embedding = layers.LabelEmbedding(3, 4, seed=0)
  labels = tf.constant([2, 0, 2])
  with tf.GradientTape() as tape:
    encoded = embedding(labels)
  np.testing.assert_array_equal(encoded, embedding.vectors.numpy()[[2, 0, 2]])
  gradient = tape.gradient(encoded, embedding.vectors.value)
  np.testing.assert_array_equal(gradient, np.array([[1.0], [0], [2]]).repeat(
      4, axis=1))


def test_vectors_of_labels_begin_standard_normal():
  vectors = layers.LabelEmbedding(500, 20, seed=1)
  vectors(tf.constant([0]))
  values = vectors.vectors.numpy()
  assert abs(values.mean()) < 0.05 and abs(values.std() - 1.0) < 0.05


@loops.each(['num_labels', 'size'])
def test_refuses_no_labels(name):
  testing.check_refusal(
      layers.LabelEmbedding, {'num_labels': 3, 'size': 2, name: 0},
      f'{name}=0: expected a number >= 1')


def test_vectors_pass_a_small_dense_network_of_standardised_numbers():
  network = layers.VectorNetwork(
      2, 3, (4,), mean=(5.0, -1.0), std=(2.0, 0.5), seed=1, dtype='float64')
  condition = np.array([[5.0, -1.0], [7.0, -2.0]])
  encoded = network(tf.constant(condition))
  first, bias, second, last = (v.numpy() for v in network.trainable_variables)
  hidden = np.array([[0.0, 0.0], [1.0, -2.0]]) @ first + bias
  hidden = hidden / (1.0 + np.exp(-hidden))
  np.testing.assert_allclose(
      encoded, np.tanh(hidden @ second + last), rtol=1e-12)


def test_far_conditions_stay_between_minus_one_and_one():
  network = layers.VectorNetwork(2, 3, seed=1)
  condition = tf.constant([[1e30, 0.0], [-1e20, 1e25], [0.0, 0.0]])
  encoded = network(condition).numpy()
  assert np.all(np.isfinite(encoded)) and np.abs(encoded).max() <= 1.0
  assert np.abs(encoded[0] - encoded[2]).max() > 0.1


@loops.each([
    ({'mean': (1.0,), 'std': (1.0,)}, 'mean=[1.0]: expected 2 values, or no'),
    ({'mean': (1.0, 2.0)}, 'std=[]: expected as many numbers as mean has'),
    ({'mean': (1.0, 2.0), 'std': (1.0, 0.0)}, 'std=[1.0, 0.0]: expected'),
    ({'names': ('a',)}, "names=['a']: expected 2 values, or none")])
def test_refuses_numbers_that_do_not_match(values, message):
  testing.check_refusal(
      layers.VectorNetwork, {'condition_size': 2, 'size': 3, **values},
      message)
