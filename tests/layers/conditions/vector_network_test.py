"""The network of conditions that are vectors."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import layers


def test_is_a_small_dense_network_of_standardised_numbers():
  network = layers.VectorNetwork(
      2, 3, (4,), mean=(5.0, -1.0), std=(2.0, 0.5), seed=1, dtype='float64')
  condition = np.array([[5.0, -1.0], [7.0, -2.0]])
  features = network(tf.constant(condition))
  first, bias, second, last = (
      v.numpy() for v in network.trainable_variables)
  hidden = np.array([[0.0, 0.0], [1.0, -2.0]]) @ first + bias
  hidden = hidden / (1.0 + np.exp(-hidden))
  np.testing.assert_allclose(
      features, np.tanh(hidden @ second + last), rtol=1e-12)


def test_far_conditions_stay_between_minus_one_and_one():
  network = layers.VectorNetwork(2, 3, seed=1)
  condition = tf.constant([[1e30, 0.0], [-1e20, 1e25], [0.0, 0.0]])
  features = network(condition).numpy()
  assert np.all(np.isfinite(features)) and np.abs(features).max() <= 1.0
  assert np.abs(features[0] - features[2]).max() > 0.1


@pytest.mark.parametrize('values, message', [
    ({'mean': (1.0,), 'std': (1.0,)}, 'mean=[1.0]: expected 2 of them'),
    ({'mean': (1.0, 2.0)}, 'std=[]: expected as many numbers as mean has'),
    ({'mean': (1.0, 2.0), 'std': (1.0, 0.0)}, 'std=[1.0, 0.0]: expected'),
    ({'names': ('a',)}, "names=['a']: expected 2 of them")])
def test_refuses_numbers_that_do_not_match(values, message):
  testing.check_refusal(
      layers.VectorNetwork, {'condition_size': 2, 'size': 3, **values},
      message)
