"""Log-probabilities of classes against a softmax in float64."""

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import replicas
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
