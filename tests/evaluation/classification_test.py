"""Log-probabilities of classes against a softmax in float64."""

import numpy as np
import pytest
from scipy import special
import tensorflow as tf

from tests import flows
from tests import replicas
from tests import splits
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
def test_batches(strategy):
  x = np.random.default_rng(1).random([7, 4, 4, 1], np.float32)
  logits = np.float64(x.reshape([7, 16])) @ _Linear.weights
  expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
  found = classification.Classification(
      _Linear(), strategy and strategy()).log_probs(
          tf.constant(x[i:i + 3]) for i in (0, 3, 6))
  assert found.shape == (7, 3)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  # Other classes would be noticed.
  assert np.abs(expected - np.roll(expected, 1, axis=1)).max() > 1e-2


def test_without_a_classifier():
  with pytest.raises(ValueError, match='has no classifier'):
    classification.Classification(flows.make_flow_without_blocks()).log_probs(
        [tf.zeros([2, 4, 4, 1])])


class _Constant:
  """Has the same logits for all images."""

  logits = np.array([1.0, -0.5, 0.25], np.float32)

  def classify(self, x, seed):
    del seed
    return tf.tile(self.logits[np.newaxis], [tf.shape(x)[0], 1])


def test_cross_entropy():
  labels = np.array([0, 0, 1, 2, 1], np.int32)
  split = splits.make_split(np.zeros([5, 4, 4, 1], np.uint8), 16, labels)
  classify = classification.Classification(_Constant())
  for num_examples in (None, 4):
    found = classify(
        split, batch_size=3, num_examples=num_examples)['cross_entropy']
    values = -special.log_softmax(_Constant.logits)[labels[:num_examples]]
    np.testing.assert_allclose(
        found[:2], [values.mean(), values.std(ddof=1) / len(values)**0.5],
        rtol=1e-6)


_LABELS = np.array([0, 0, 1, 2, 2, 2, 1], np.int32)


class _Brightness:
  """Takes the number of bright halves for the class of an image."""

  def classify(self, x, seed):
    del seed  # It draws nothing.
    bright = tf.cast(tf.reduce_mean(x, axis=[2, 3]) > 0.5, tf.int32)
    return tf.one_hot(tf.reduce_sum(bright, axis=1), 3)


@pytest.fixture(scope='module')
def labelled():
  images = np.zeros([7, 2, 2, 1], np.uint8)
  for image, label in zip(images, _LABELS, strict=True):
    image[:label] = 15
  images[4] = 0  # The only one that is taken for another.
  return splits.make_split(images, 16, _LABELS)


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_share_of_right_classes(labelled, strategy):
  classify = classification.Classification(
      _Brightness(), strategy and strategy())
  for num_examples, expected in ((7, 6 / 7), (4, 1.0)):
    found = classify(
        labelled, batch_size=2, num_examples=num_examples)['accuracy']
    assert found.mean == expected and found.num_examples == num_examples
    np.testing.assert_allclose(
        found.stderr, np.sqrt(expected * (1 - expected) / (num_examples - 1)))
