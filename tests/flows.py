"""Small flows that are no `ResidualFlow`."""

import tensorflow as tf

from tf_resflow import layers
from tf_resflow import models


def make_flow_without_blocks(
    event_shape=(4, 4, 1), num_levels=16, dtype='float32'):
  """Returns an initialised flow in which nothing is solved, drawn or bounded.
  """
  chain = layers.Chain([
      layers.Logit(dtype=dtype), layers.ActNorm(dtype=dtype),
      layers.Flatten(dtype=dtype)])
  model = models.Flow(chain, event_shape, num_levels, name='plain')
  model.initialize(tf.random.stateless_uniform(
      [16, *event_shape], [0, 2], dtype=dtype))
  return model
