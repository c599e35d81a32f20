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
  found = classification.Classification(model, strategy).log_probs(
      x[i:i + 3] for i in (0, 3, 6))
  assert found.shape == (7, 3)
  np.testing.assert_allclose(found, expected, atol=1e-5)
  # Other classes would be noticed.
  assert np.abs(expected - np.roll(expected, 1, axis=1)).max() > 1e-2


def test_without_a_classifier():
  with pytest.raises(ValueError, match='has no classifier'):
    classification.Classification(flows.make_flow_without_blocks()).log_probs(
        [tf.zeros([2, 4, 4, 1])])


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
    found = classification.Classification(model)(
        split, batch_size=3, num_examples=num_examples)['cross_entropy']
    values = -special.log_softmax(logits)[labels[:num_examples]]
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


@pytest.mark.parametrize('num_examples, expected', [(None, 6 / 7), (4, 1.0)])
@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_share_of_right_classes(labelled, num_examples, expected, strategy):
  found = classification.Classification(
      _Brightness(), strategy and strategy())(
          labelled, batch_size=2, num_examples=num_examples)['accuracy']
  num_examples = num_examples or 7
  assert found.mean == expected and found.num_examples == num_examples
  np.testing.assert_allclose(
      found.stderr, np.sqrt(expected * (1 - expected) / (num_examples - 1)))
