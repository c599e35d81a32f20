"""Log-probabilities of classes against a softmax in float64."""

import numpy as np
import pytest
from scipy import special
from scipy import stats
import tensorflow as tf

from tests import flows
from tests import replicas
from tests import splits
from tf_resflow import datasets
from tf_resflow.evaluation import classification


def test_log_probs_of_large_logits():
  log_probs = classification.log_probs_of_logits(
      np.array([[0.0, 1000.0], [np.log(3.0), 0.0]], np.float32))
  np.testing.assert_allclose(
      log_probs, [[-1000.0, 0.0], np.log([0.75, 0.25])], rtol=1e-6)
  assert log_probs.dtype == np.float64


class _Linear:
  """Its logits are linear in the pixels."""

  weights = np.random.default_rng(0).normal(size=[16, 3]).astype(np.float32)

  def classify(self, x, seed):
    del seed  # It draws nothing.
    return tf.reshape(x, [-1, 16]) @ self.weights


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_against_a_softmax(strategy):
  rng = np.random.default_rng(1)
  images = rng.integers(0, 16, [7, 4, 4, 1]).astype(np.uint8)
  classify = classification.Classification(_Linear(), strategy and strategy())

  def expected(x):
    logits = np.float64(x).reshape([7, 16]) @ _Linear.weights
    return special.log_softmax(logits, axis=1)

  x = (images + np.float32(0.5)) / np.float32(16)
  found = classify.log_probs(tf.constant(x[i:i + 3]) for i in (0, 3, 6))
  np.testing.assert_allclose(found, expected(x), atol=1e-5)
  # Other classes would be noticed.
  assert np.abs(found - np.roll(found, 1, axis=1)).max() > 1e-2

  # Of a split, whose noise is that of its evaluation.
  split = splits.make_split(images, 16)
  (batch,) = datasets.evaluation_batches(split, batch_size=7, seed=2)
  log_probs = expected(batch['x'])
  labels = log_probs.argmax(axis=1)
  labels[3] = (labels[3] + 1) % 3  # The only one that is taken for another.
  split = splits.make_split(images, 16, labels)
  for num_examples, share in ((7, 6 / 7), (3, 1.0)):
    found = classify(split, batch_size=2, num_examples=num_examples, seed=2)
    accuracy, cross_entropy = found['accuracy'], found['cross_entropy']
    assert accuracy.mean == share and accuracy.num_examples == num_examples
    np.testing.assert_allclose(
        accuracy.stderr, np.sqrt(share * (1 - share) / (num_examples - 1)))
    values = -log_probs[np.arange(7), labels][:num_examples]
    np.testing.assert_allclose(
        cross_entropy[:2], [values.mean(), stats.sem(values)], rtol=1e-5)


def test_without_a_classifier():
  with pytest.raises(ValueError, match='has no classifier'):
    classification.Classification(flows.make_flow_without_blocks()).log_probs(
        [tf.zeros([2, 4, 4, 1])])


