"""Small flows."""

import numpy as np
import tensorflow as tf

from tf_resflow import layers
from tf_resflow import models


def make_flow_without_blocks(
    event_shape=(4, 4, 1), num_levels=16, dtype='float32'):
  """Returns an initialised flow without solves, draws and bounds."""
  chain = layers.SequentialBijection([
      layers.Logit(dtype=dtype), layers.ActNorm(dtype=dtype),
      layers.Flatten(dtype=dtype)])
  model = models.Flow(chain, event_shape, num_levels, name='plain')
  model.initialize(tf.random.stateless_uniform(
      [16, *event_shape], [0, 2], dtype=dtype))
  return model


def make_image_flow(
    num_levels, num_dense_blocks=1, is_steep=False, dtype='float32',
    kernel_sizes=(3, 3), **changes):
  """Returns an initialised `ResidualFlow` of 4 x 4 images, random blocks.

  The Lipschitz bounds of a steep one are active.
  """
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=num_levels, num_blocks=(1,),
      hidden_channels=4, kernel_sizes=kernel_sizes,
      num_dense_blocks=num_dense_blocks, dense_hidden_units=4, **changes
  ).build(dtype)
  for layer in model.constrained_layers if is_steep else ():
    layer.kernel.assign(4.0 * layer.kernel)
  model.initialize(
      tf.random.stateless_uniform([8, 4, 4, 1], [0, 1], dtype=dtype))
  return model


def make_hybrid_flow(num_levels, **changes):
  """Returns such a flow with three classes."""
  return make_image_flow(num_levels, num_classes=3, head_channels=4, **changes)


def disturb(model, scale=1.0, seed=0):
  """Adds noise to all that is trained, by which conditions are at work."""
  rng = np.random.default_rng(seed)
  for variable in model.trainable_variables:
    noise = scale * rng.normal(size=variable.shape)
    variable.assign(variable.numpy() + noise.astype(variable.dtype))
  return model
