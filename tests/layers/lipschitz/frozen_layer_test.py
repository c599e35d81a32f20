"""Attributes of frozen layers; tests/conformance/frozen_test has values."""

import numpy as np
import tensorflow as tf

from tests import networks
from tf_resflow import layers


def test_frozen_blocks_share_graphs_and_prove_nothing():
  block = layers.ResidualBlock(networks.learned_g('float64'))
  block(tf.ones([2, 3], tf.float64))
  first, second = block.frozen(), block.frozen()
  assert first.frozen() is first and first.memory == 'recompute'
  assert first.function is second.function is block.function.of_weights
  assert first.g.structure() == second.g.structure()
  assert not first.trainable_variables and not first.constrained_layers()
  assert (first.lipschitz_bound, first.bound_source, first.order) == (
      block.lipschitz_bound, block.bound_source, float(first.order))
  assert first.certificate().bound is None


def test_a_frozen_layer_takes_conditions():
  block = layers.ResidualBlock(networks.conditional_g('float64'))
  x = tf.random.stateless_normal([4, 3], [0, 0], dtype=tf.float64)
  condition = tf.random.stateless_normal([4, 4], [0, 1], dtype=tf.float64)
  y = block(x, condition=condition)
  frozen = block.frozen()
  for call in (frozen, tf.function(frozen, autograph=False)):
    np.testing.assert_allclose(call(x, condition=condition), y, rtol=1e-9)
  for variable in block.trainable_variables:
    variable.assign(0.5 * variable)
  np.testing.assert_allclose(frozen(x, condition=condition), y, rtol=1e-9)
