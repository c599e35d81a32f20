"""A bijection behind a network of conditions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tf_resflow import errors
from tf_resflow import layers


def _affine(size=3):
  return layers.ConditionalAffine(size, kernel_initializer=(
      keras.initializers.RandomNormal(seed=1)))


def test_passes_what_the_network_makes_of_a_condition():
  network = layers.LabelEmbedding(4, 3, seed=1)
  affine = _affine()
  flow = layers.Conditional(affine, network)
  x = tf.random.stateless_normal([2, 5], [0, 0])
  y, log_det = flow.forward_and_log_det(x, condition=[3, 1])
  expected = affine.forward_and_log_det(
      x, condition=network(tf.constant([3, 1])))
  np.testing.assert_array_equal(y, expected[0])
  np.testing.assert_array_equal(log_det, expected[1])
  np.testing.assert_allclose(
      flow.inverse(y, condition=[3, 1]), x, atol=1e-6)
  assert flow.condition_spec == layers.ConditionSpec((), 4)
  assert len(flow.trainable_variables) == 2


@loops.each([
    (layers.ActNorm, layers.LabelEmbedding(4, 3),
     'bijection=act_norm: expected one that takes a condition'),
    (lambda name: _affine(2), layers.LabelEmbedding(4, 3, name='labels'),
     'condition_network=labels, of 3 outputs: expected numbers [B, 2]'),
    (lambda name: _affine(), keras.layers.Dense(3),
     'condition_network=<Dense')])
def test_refuses_what_does_not_fit(make_bijection, network, message):
  with pytest.raises(errors.InvalidValueError) as error:
    layers.Conditional(make_bijection(name='act_norm'), network)
  assert str(error.value).startswith(message)
  assert '\n' not in str(error.value)


def test_a_batch_of_another_size_is_refused_by_every_pass():
  flow = layers.Conditional(_affine(), layers.LabelEmbedding(4, 3))
  x = tf.ones([3, 5])
  for run in (
      lambda: flow(x, condition=[1, 2]),
      lambda: flow.forward_and_log_det(x, condition=[1, 2]),
      lambda: flow.inverse(x, condition=[1, 2]),
      lambda: flow.update_statistics(x, [1, 2])):
    with pytest.raises(errors.InvalidValueError, match=(
        'condition=a batch of 2: expected one of 3')):
      run()
