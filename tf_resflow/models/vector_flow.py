"""A residual flow on vectors."""

import dataclasses
import itertools

import keras
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.models import blocks
from tf_resflow.models import flow
from tf_resflow.models import vector_flow_config
from tf_resflow.numerics import random


@keras.saving.register_keras_serializable('tf_resflow')
class VectorFlow(flow.Flow):
  """Residual blocks with dense `g` on events `[D]`, ActNorm between them.

  Args:
    config: a `VectorFlowConfig`, or its fields as a dict.
    **kwargs: of `keras.Model`; `dtype` is 'float32' or 'float64'.

  Example:
    >>> model = models.VectorFlow(
    ...     models.VectorFlowConfig(event_size=2, num_blocks=4))
    >>> model.log_prob(tf.zeros([5, 2]), seed=0).shape
    TensorShape([5])

  References:
    Chen et al., 2019, Residual Flows, Section 3.
  """

  def __init__(self, config, **kwargs):
    if isinstance(config, dict):
      config = vector_flow_config.VectorFlowConfig(**config)
    kwargs.setdefault('name', 'vector_flow')
    super().__init__((config.event_size,), **kwargs)
    self.config = config
    dtype = self.compute_dtype
    self.stack = []
    if config.act_norm:
      self.stack.append(layers.ActNorm(name='act_norm_first', dtype=dtype))
    for index in range(config.num_blocks):
      self.stack.append(blocks.make_dense_block(
          config, (config.event_size,), config.hidden_units, index,
          activate_input=index > 0, dtype=dtype))
      if config.act_norm:
        self.stack.append(layers.ActNorm(
            name=f'act_norm_{index}', dtype=dtype))
    for layer in self.stack:
      layer.build((None, config.event_size))
      blocks.share_traces(layer, self.stack)
    self._track_layers()
    self.built = True

  @property
  def invertible_layers(self):
    return list(self.stack)

  def forward_and_log_det(self, x, seed=None, log_det=None):
    x = self._check_events(x, self.event_shape, 'x')
    total = tf.zeros([tf.shape(x)[0]], x.dtype)
    return self._run_layers(
        self.stack, x, total, random.as_seed(seed), log_det,
        itertools.count())

  def inverse(self, z, solver=None, on_block=None):
    z = self._check_events(z, (self.event_size,), 'z')
    return self._invert_layers(self.stack, z, solver, on_block)

  def get_config(self):
    return {
        'config': dataclasses.asdict(self.config),
        'name': self.name,
        'dtype': self.compute_dtype,
    }
