"""The paper's image flow."""

import dataclasses
import itertools

import keras
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.models import blocks
from tf_resflow.models import config as config_lib
from tf_resflow.models import flow
from tf_resflow.numerics import random


@keras.saving.register_keras_serializable('tf_resflow')
class ResidualFlow(flow.Flow):
  """Multi-scale residual flow on images `[H, W, C]` in [0, 1).

  Preprocessing, then per scale: residual blocks, each followed by ActNorm
  (the first scale starts with one as well), then a 2 x 2 squeeze except after
  the last scale. With `factor_out` the second half of the channels leaves
  after every squeeze. After the last scale come fully connected residual
  blocks on the flattened features. The very first block of the flow has no
  leading activation.

  The latents `[D]` are those factored out, in the order in which they leave,
  then the rest; `inverse` takes all of them.

  Args:
    config: a `ResidualFlowConfig`, or its fields as a dict.
    **kwargs: of `keras.Model`; `dtype` is 'float32' or 'float64'.

  Example:
    >>> model = ResidualFlow(ResidualFlowConfig(
    ...     image_shape=(8, 8, 1), num_levels=17, num_blocks=(2, 2),
    ...     hidden_channels=32))
    >>> x = model.sample(4, seed=0)
    >>> bits = model.bits_per_dim(x, seed=1)

  References:
    Chen et al., 2019, Residual Flows, Section 5.1 and Appendix E.
  """

  def __init__(self, config, **kwargs):
    if isinstance(config, dict):
      config = config_lib.ResidualFlowConfig(**config)
    kwargs.setdefault('name', 'residual_flow')
    super().__init__(
        config.image_shape, num_levels=config.num_levels, **kwargs)
    self.config = config
    # A list of lists per scale; Keras tracks the layers in it.
    self.scales = self._make_scales(config)
    self.dense_stack = self._make_dense_stack(config)
    self._track_layers()
    self.built = True

  def _make_scales(self, config):
    """Returns one list of layers per scale, all built."""
    dtype = self.compute_dtype
    shape = (None, *config.image_shape)
    scales = []
    self._split_sizes = []
    index = 0

    def add(stack, layer):
      nonlocal shape
      layer.build(shape)
      shape = layer.compute_output_shape(shape)
      stack.append(layer)

    for scale, num_blocks in enumerate(config.num_blocks):
      stack = []
      if scale == 0:
        if config.preprocessing == 'logit':
          add(stack, layers.Logit(
              config.logit_alpha, name='logit', dtype=dtype))
        else:
          add(stack, layers.Standardize(
              config.mean, config.std, name='standardize', dtype=dtype))
        if config.squeeze_first:
          add(stack, layers.Squeeze(name='squeeze_first', dtype=dtype))
        if config.act_norm:
          add(stack, layers.ActNorm(name='act_norm_first', dtype=dtype))
      for _ in range(num_blocks):
        block = blocks.make_conv_block(
            config, shape[1:], index, activate_input=index > 0, dtype=dtype)
        add(stack, block)
        blocks.share_traces(block, [*itertools.chain(*scales), *stack])
        if config.act_norm:
          add(stack, layers.ActNorm(name=f'act_norm_{index}', dtype=dtype))
        index += 1
      if scale < len(config.num_blocks) - 1:
        add(stack, layers.Squeeze(name=f'squeeze_{scale}', dtype=dtype))
        if config.factor_out:
          batch, height, width, channels = shape
          kept = channels // 2
          self._split_sizes.append((height, width, channels - kept))
          shape = (batch, height, width, kept)
      scales.append(stack)
    self._last_shape = tuple(shape[1:])
    return scales

  def _make_dense_stack(self, config):
    """Returns the fully connected blocks and their ActNorms, all built."""
    size = tf.TensorShape(self._last_shape).num_elements()
    stack = []
    first = sum(config.num_blocks)
    for index in range(first, first + config.num_dense_blocks):
      stack.append(blocks.make_dense_block(
          config, (size,), [config.dense_hidden_units] * 2, index,
          activate_input=True, dtype=self.compute_dtype))
      if config.act_norm:
        stack.append(layers.ActNorm(
            name=f'act_norm_{index}', dtype=self.compute_dtype))
    for layer in stack:
      layer.build((None, size))
      blocks.share_traces(layer, stack)
    return stack

  @property
  def invertible_layers(self):
    return [*itertools.chain(*self.scales), *self.dense_stack]

  def forward_and_log_det(self, x, seed=None, log_det=None):
    seed = random.as_seed(seed)
    counter = itertools.count()
    x = self._check_events(x, self.event_shape, 'x')
    batch_size = tf.shape(x)[0]
    total = tf.zeros([batch_size], x.dtype)
    latents = []
    for scale, stack in enumerate(self.scales):
      x, total = self._run_layers(stack, x, total, seed, log_det, counter)
      if self.config.factor_out and scale < len(self.scales) - 1:
        leaving = self._split_sizes[scale]
        x, factored = tf.split(x, [x.shape[-1] - leaving[-1], leaving[-1]], -1)
        latents.append(tf.reshape(
            factored, [batch_size, tf.TensorShape(leaving).num_elements()]))
    x = tf.reshape(
        x, [batch_size, tf.TensorShape(self._last_shape).num_elements()])
    x, total = self._run_layers(
        self.dense_stack, x, total, seed, log_det, counter)
    return tf.concat([*latents, x], axis=1), total

  def inverse(self, z, solver=None, on_block=None):
    z = self._check_events(z, (self.event_size,), 'z')
    batch_size = tf.shape(z)[0]
    sizes = [tf.TensorShape(s).num_elements() for s in self._split_sizes]
    *latents, x = tf.split(z, [*sizes, self.event_size - sum(sizes)], axis=1)
    x = self._invert_layers(self.dense_stack, x, solver, on_block)
    x = tf.reshape(x, [batch_size, *self._last_shape])
    for scale in reversed(range(len(self.scales))):
      if self.config.factor_out and scale < len(self.scales) - 1:
        factored = tf.reshape(
            latents[scale], [batch_size, *self._split_sizes[scale]])
        x = tf.concat([x, factored], axis=-1)
      x = self._invert_layers(self.scales[scale], x, solver, on_block)
    return x

  def get_config(self):
    return {
        'config': dataclasses.asdict(self.config),
        'name': self.name,
        'dtype': self.compute_dtype,
    }
