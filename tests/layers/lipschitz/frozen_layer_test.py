"""Attributes of frozen layers; tests/conformance/ has values."""

import tensorflow as tf

from tests import networks
from tf_resflow import layers


def test_frozen_blocks_share_graphs_and_prove_nothing():
  block = layers.ResidualBlock(networks.learned_g('float64'))
  block(tf.ones([2, 3], tf.float64))
  block.g.orders[0].raw.assign(0.6)
  first, second = block.frozen(), block.frozen()
  assert first.frozen() is first and first.memory == 'recompute'
  assert first.function is second.function is block.function.of_weights
  assert first.g.structure() == second.g.structure()
  assert not first.trainable_variables and not first.constrained_layers()
  assert (first.lipschitz_bound, first.bound_source, first.order) == (
      block.lipschitz_bound, block.bound_source,
      block.bi_lipschitz_bounds().order)
  assert first.certificate().bound is None
