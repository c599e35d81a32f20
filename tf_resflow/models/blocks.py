"""The residual blocks that the models stack."""

import math

import keras

from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.configuration import spec

# Initializer seeds of one layer span three integers, see `SpectralLayer`.
_SEEDS_PER_LAYER = 4
_SEEDS_PER_BLOCK = 64


def make_estimator(config):
  """Returns the log-det estimator that a configuration names."""
  parts = spec.Spec.parse(config.estimator, 'estimator')
  if parts.name == 'exact':
    return numerics.Exact()
  probe = parts.options.get('probe', 'rademacher')
  if parts.name == 'fixed':
    return numerics.FixedTruncation(int(parts.arguments[0]), probe)
  if parts.name == 'adaptive':
    return numerics.AdaptiveRoulette(float(parts.arguments[0]))
  law, parameter = parts.arguments
  law = {'poisson': numerics.Poisson, 'geometric': numerics.Geometric}[law]
  return numerics.RussianRoulette(
      law(float(parameter)), int(parts.options.get('exact', 2)), probe)


def _make_block(config, input_shape, linear_layers, activate_input, name,
                dtype):
  """Alternates activations and constrained linear layers."""
  stack = [keras.Input(input_shape)]
  is_flattened = len(input_shape) > 1 and isinstance(
      linear_layers[0], layers.SpectralDense)
  if is_flattened:
    stack.append(keras.layers.Flatten(dtype=dtype))
  for i, linear_layer in enumerate(linear_layers):
    if i > 0 or activate_input:
      stack.append(layers.make_activation(
          config.activation, name=f'{name}_act_{i}', dtype=dtype))
    stack.append(linear_layer)
  if is_flattened:
    stack.append(keras.layers.Reshape(input_shape, dtype=dtype))
  return layers.ResidualBlock(
      keras.Sequential(stack, name=f'{name}_g'),
      log_det=make_estimator(config), memory=config.memory, name=name,
      dtype=dtype)


def _layer_seed(config, index, layer_index):
  return (config.seed * 100_003 + index * _SEEDS_PER_BLOCK +
          layer_index * _SEEDS_PER_LAYER)


def make_conv_block(config, input_shape, index, activate_input, dtype):
  """Returns block `index` of an image flow.

  `g` = [act], conv c -> hidden, act, conv hidden -> hidden, act, conv
  hidden -> c, with the kernel sizes of the configuration.
  """
  name = f'block_{index}'
  sizes = config.kernel_sizes
  channels = [config.hidden_channels] * (len(sizes) - 1) + [input_shape[-1]]
  convolutions = [
      layers.SpectralConv2D(
          c, k, coeff=config.lipschitz_coeff, name=f'{name}_conv_{i}',
          seed=_layer_seed(config, index, i), dtype=dtype)
      for i, (c, k) in enumerate(zip(channels, sizes, strict=True))
  ]
  return _make_block(
      config, input_shape, convolutions, activate_input, name, dtype)


def make_dense_block(config, input_shape, hidden_units, index, activate_input,
                     dtype):
  """Returns block `index` with a fully connected `g` on events of any shape."""
  name = f'block_{index}'
  units = [*hidden_units, math.prod(input_shape)]
  stack = [
      layers.SpectralDense(
          n, coeff=config.lipschitz_coeff, name=f'{name}_dense_{i}',
          seed=_layer_seed(config, index, i), dtype=dtype)
      for i, n in enumerate(units)
  ]
  return _make_block(
      config, input_shape, stack, activate_input, name, dtype)


def share_traces(layer, stack):
  """Lets a residual block use the traces of an earlier one of its structure.

  Args:
    layer: a built layer; nothing happens unless it is a residual block.
    stack: layers to look in, `layer` among them or not.
  """
  if not isinstance(layer, layers.ResidualBlock):
    return
  for other in stack:
    if other is layer:
      return
    if isinstance(other, layers.ResidualBlock) and layer.can_share(other):
      layer.share_traces(other)
      return
