"""A learned vector for every label."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import layers


def test_looks_up_and_its_gradient_is_dense():
  embedding = layers.LabelEmbedding(3, 4, seed=0)
  labels = tf.constant([2, 0, 2])
  with tf.GradientTape() as tape:
    features = embedding(labels)
  np.testing.assert_array_equal(
      features, embedding.vectors.numpy()[[2, 0, 2]])
  gradient = tape.gradient(features, embedding.vectors.value)
  np.testing.assert_array_equal(gradient, np.array([[1.0], [0], [2]]).repeat(
      4, axis=1))


def test_begins_standard_normal():
  vectors = layers.LabelEmbedding(500, 20, seed=1)
  vectors(tf.constant([0]))
  values = vectors.vectors.numpy()
  assert abs(values.mean()) < 0.05 and abs(values.std() - 1.0) < 0.05


@pytest.mark.parametrize('name', ['num_labels', 'size'])
def test_refuses_nothing(name):
  testing.check_refusal(
      layers.LabelEmbedding, {'num_labels': 3, 'size': 2, name: 0},
      f'{name}=0: expected a number from 1')
