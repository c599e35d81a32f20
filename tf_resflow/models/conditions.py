"""Where a condition enters a flow of blocks."""

from typing import Any

from tf_resflow import layers

# Beside those of the blocks, which count from 0.
_SEED_OFFSET = 50_021


def make_network(config: Any, dtype: str) -> layers.ConditionNetwork:
  """Returns what all parts of a flow share: the network of its conditions."""
  seed = config.seed * 100_003 + _SEED_OFFSET
  if config.condition_labels:
    return layers.LabelEmbedding(
        config.condition_labels, config.condition_features, seed,
        name='condition', dtype=dtype)
  return layers.VectorNetwork(
      config.condition_size, config.condition_features,
      config.condition_hidden_units, config.condition_mean,
      config.condition_std, config.condition_names, seed, name='condition',
      dtype=dtype)


def make_shift(request: Any) -> list[layers.LipschitzLayer]:
  """Returns what stands behind the first linear layer of a block's network.

  Args:
    request: a `blocks.BlockRequest`.
  """
  return [layers.ConditionShift(
      request.config.condition_features, name=f'{request.name}_shift',
      dtype=request.dtype)] if request.config.enters_at('blocks') else []


def make_gate(request: Any) -> list[layers.LipschitzLayer]:
  """Returns what a residual `g` ends with."""
  return [layers.ConditionGate(
      request.config.condition_features, name=f'{request.name}_gate',
      dtype=request.dtype)] if request.config.enters_at('gates') else []


def make_linear(request: Any) -> list[layers.Bijection]:
  """Returns the linear map before a block."""
  return [layers.ConditionalLinear(
      request.config.condition_features,
      per_feature=request.kernel_sizes is None,
      name=f'{request.name}_conditional_linear', dtype=request.dtype)] if (
          request.flattened_from is None
          and request.config.enters_at('linear')) else []


def make_affine(request: Any) -> list[layers.Bijection]:
  """Returns the scales and shifts behind a block, per channel."""
  return [layers.ConditionalAffine(
      request.config.condition_features, name=f'{request.name}_affine',
      dtype=request.dtype)] if request.config.enters_at('act_norm') else []


def make_flow(
    parts: list[layers.Bijection], config: Any, dtype: str) -> layers.Bijection:
  """Returns the bijection of a flow, of its parts.

  With a condition that is a chain of them behind one network; the base
  distribution is its last part.
  """
  if config.enters_at('base'):
    parts = [*parts, layers.ConditionalAffine(
        config.condition_features, per_feature=True, name='base', dtype=dtype)]
  chain = layers.Chain(parts, name='bijection', dtype=dtype)
  return layers.Conditional(
      chain, make_network(config, dtype), name='conditional', dtype=dtype
  ) if config.is_conditional else chain
