"""Where a condition enters a flow of blocks."""

from typing import Any

from tf_resflow import layers

# Beside those of the blocks, which count from 0.
_SEED_OFFSET = 50_021

# From places to what they are called in names of layers, and their layers.
_PARTS = {
    'blocks': ('shift', layers.ConditionShift),
    'gates': ('gate', layers.ConditionGate),
    'linear': ('conditional_linear', layers.ConditionalLinear),
    'act_norm': ('affine', layers.ConditionalAffine)}


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


def make_parts(place: str, request: Any) -> list[Any]:
  """Returns what a block has at a place: a layer, or none.

  That is a shift behind the first linear layer of its network (blocks), a
  factor that a residual `g` ends with (gates), a linear map before the block
  (linear), or scales and shifts per channel behind it (act_norm).

  Args:
    place: one of those.
    request: a `blocks.BlockRequest`.
  """
  if not request.config.enters_at(place):
    return []
  suffix, kind = _PARTS[place]
  settings = {}
  if place == 'linear':
    if request.flattened_from is not None:
      return []
    settings['per_feature'] = request.kernel_sizes is None
  return [kind(request.config.condition_features, **settings,
               name=f'{request.name}_{suffix}', dtype=request.dtype)]


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
