"""Heads of hybrid models, against plain operations."""

import numpy as np
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.layers import base_layer


def features(size=5):
  return [tf.random.stateless_normal([size, *shape], [0, 1])
          for shape in ((4, 4, 2), (2, 2, 3))]


def test_the_classifier_joins_its_heads():
  classifier = layers.HybridClassifier(3, 4, seed=2)
  logits = classifier(features())
  assert classifier.is_initialized
  joined = tf.concat([
      head(x) for head, x in zip(classifier.heads, features(), strict=True)], 1)
  np.testing.assert_allclose(logits, classifier.dense(joined), rtol=1e-5)


def test_weights_start_as_those_of_the_authors():
  """U(+-1/sqrt(fan_in)) for kernels and biases alike."""
  classifier = layers.HybridClassifier(30, 40, seed=2)
  classifier.build([x.shape for x in features()])
  for layer, fan_in in (
      (classifier.heads[0].conv, 18), (classifier.heads[1].conv, 27),
      (classifier.dense, 80)):
    for variable in (layer.kernel, layer.bias):
      largest = np.abs(variable.numpy()).max()
      assert 0.8 < largest * np.sqrt(fan_in) <= 1.0
  kernel, bias = base_layer.uniform_initializers(4, 7).values()
  assert (kernel.seed, bias.seed) == (7, 8)
