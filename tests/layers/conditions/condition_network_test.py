"""Networks of conditions: Keras layers, of labels, of vectors."""

import keras
import numpy as np
import tensorflow as tf

from tests import testing
from tf_resflow import layers


def test_a_model_of_images():
  model = keras.Sequential([
      keras.layers.Conv2D(3, 2), keras.layers.GlobalAveragePooling2D()])
  network = layers.KerasNetwork(model, [4, 4, 1])
  assert network.size == 3 and network.condition_spec.shape == (4, 4, 1)
  images = tf.random.stateless_normal([2, 4, 4, 1], [0, 0])
  np.testing.assert_array_equal(network(images), model(images))
  assert len(network.trainable_variables) == 2


def test_refuses_what_returns_no_vector_or_would_not_be_trained():
  dense = keras.layers.Dense(3)
  testing.check_refusals(lambda values: layers.KerasNetwork(*values), [
      ((keras.layers.Conv2D(3, 2, name='a'), [4, 4, 1]),
       'condition_network=a...not [None, 3, 3, 3]'),
      ((keras.layers.Identity(name='a'), []), 'condition_network=a...not [N'),
      *(((keras.Sequential([dense, layer]), [2]),
         f'condition_network={type(layer).__name__}') for layer in (
             keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)))])


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


def test_refuses_numbers_that_do_not_match():
  testing.check_refusals(
      lambda values: layers.VectorNetwork(2, 3, **values), [
          ({'mean': (1.0,), 'std': (1.0,)}, 'std=[1.0]: expected 2 numbers'),
          ({'mean': (1.0, 2.0)}, 'std=[]: expected 2 numbers above 0, as ma'),
          ({'mean': (1.0, 2.0), 'std': (1.0, 0.0)}, 'std=[1.0, 0.0]: ex')])
  testing.check_refusals(lambda sizes: layers.LabelEmbedding(*sizes), [
      ((0, 2), 'num_labels=0: expected a number >= 1'),
      ((3, 0), 'size=0: expected a number >= 1')])
