"""Log-probabilities of classes against a softmax in float64."""

import numpy as np
import pytest
from scipy import special
import tensorflow as tf

from tests import flows
from tests import replicas
from tests import splits
from tf_resflow import models
from tf_resflow.evaluation import classification


def test_log_probs_of_large_logits():
  log_probs = classification.log_probs_of_logits(
      np.array([[0.0, 1000.0], [np.log(3.0), 0.0]], np.float32))
  np.testing.assert_allclose(
      log_probs, [[-1000.0, 0.0], np.log([0.75, 0.25])], rtol=1e-6)
  assert log_probs.dtype == np.float64


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_batches(strategy):
  strategy = strategy and strategy()
  with (strategy or tf.distribute.get_strategy()).scope():
    model = flows.make_hybrid_flow(16)
  x = tf.random.stateless_uniform([7, 4, 4, 1], [0, 1])
  logits = np.float64(model.classify(x))
  expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
  found = classification.class_log_probs(
      model, (x[i:i + 3] for i in (0, 3, 6)), strategy)
  assert found.shape == (7, 3)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  # Other classes would be noticed.
  assert np.abs(expected - np.roll(expected, 1, axis=1)).max() > 1e-2


def test_without_a_classifier():
  with pytest.raises(ValueError, match='has no classifier'):
    classification.class_log_probs(
        flows.make_flow_without_blocks(), [tf.zeros([2, 4, 4, 1])])


def test_cross_entropy():
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=2,
      num_dense_blocks=0, num_classes=3, head_channels=4).build()
  model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]))
  dense = model.classifier.dense
  dense.kernel.assign(tf.zeros_like(dense.kernel))
  logits = np.array([1.0, -0.5, 0.25])
  dense.bias.assign(logits)
  labels = np.array([0, 0, 1, 2, 1], np.int32)
  split = splits.make_split(np.zeros([5, 4, 4, 1], np.uint8), 16, labels)
  for num_examples in (None, 4):
    found = classification.cross_entropy(
        model, split, batch_size=3, num_examples=num_examples)
    np.testing.assert_allclose(
        found, -np.mean(special.log_softmax(logits)[labels[:num_examples]]),
        rtol=1e-6)
