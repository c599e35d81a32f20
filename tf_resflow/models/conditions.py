"""Conditions of flows `p(x|c)`: configuration and layers."""

import dataclasses
from typing import Any

from tf_resflow import layers
from tf_resflow.columns import schema as schema_lib
from tf_resflow.models import model_config
from tf_resflow.specs import fields

# Keeps seeds apart from those of the blocks, which start at 0.
_SEED_OFFSET = 50_021

# Maps values of `condition_at` to the class in `layers` and the name suffix of
# the layer.
_PLACES = {
    'blocks': ('ConditionShift', 'shift'),
    'gates': ('ConditionGate', 'gate'),
    'act_norm': ('ConditionalAffine', 'affine'),
    'linear': ('ConditionalLinear', 'conditional_linear')}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionalConfig(model_config.ModelConfig):
  """Conditions of p(x|c)."""

  condition_at: tuple[str, ...] = fields.field(
      ('blocks', 'base'), help='Where conditions enter: blocks (shift after '
      'the first layer of residual networks), gates (factor in (0, 1) of their '
      'output), act_norm (scale and shift after blocks), linear (linear map '
      'before blocks, except those on flattened images), base (mean and scale '
      'of the base distribution).',
      choices=(*_PLACES, 'base'), min_length=1)
  condition_features: int = fields.field(
      32, help='Size of the embedding of a condition.', minimum=1)
  condition_hidden_units: tuple[int, ...] = fields.field(
      (64, 64), help='Hidden layer widths of the embedding network of numeric '
      'conditions.', minimum=1)
  condition_labels: int = fields.field(
      0, help='Number of labels that are conditions; 0 for none.', minimum=0,
      is_flag=False)
  condition_size: int = fields.field(
      0, help='Size of numeric conditions, or 0.', minimum=0, is_flag=False)
  schema: schema_lib.Schema | None = fields.field(
      None, help='Types, levels, roles, moments and whitening of the columns '
      'of vectors and conditions.', is_flag=False, convert=schema_lib.Schema.of,
      changes_function=lambda *schemas: len(
          {schema and schema.function() for schema in schemas}) > 1)

  @property
  def is_conditional(self) -> bool:
    """Whether the flow is conditional, `p(x|c)`."""
    return bool(self.condition_labels or self.condition_size)

  def enters_at(self, place: str) -> bool:
    """Returns whether a condition enters at a value of `condition_at`."""
    return self.is_conditional and place in self.condition_at

  def check(self) -> None:
    super().check()
    self.require(
        not (self.condition_labels and self.condition_size), 'condition_size',
        problem='cannot be used with condition_labels')
    size = self.schema.condition_size if self.schema else 0
    self.require(
        size in (0, self.condition_size), 'condition_size',
        f'the number of coordinates of conditions in the schema, {size}')
    if not self.is_conditional:
      self.require_defaults(
          ('condition_at', 'condition_features', 'condition_hidden_units'),
          'without a condition', 'Set --condition_on.')


def make_parts(place: str, request: Any) -> list[Any]:
  """Returns the conditional layer of a block at a place, as a list of 0 or 1.

  The place is a value of `condition_at` other than 'base', and the request a
  `blocks.BlockRequest`.
  """
  if not request.config.enters_at(place) or (
      place == 'linear' and request.flattened_from is not None):
    return []
  class_name, suffix = _PLACES[place]
  settings = {'per_feature': request.kernel_sizes is None} if (
      place == 'linear') else {'positions': request.positions} if (
          request.positions) else {}
  return [getattr(layers, class_name)(
      request.config.condition_features, **settings,
      name=f'{request.name}_{suffix}', dtype=request.dtype)]


def make_flow(parts: list['layers.Bijection'], config: ConditionalConfig,
              dtype: str) -> 'layers.Bijection':
  """Returns the bijection of a flow, the composition of its parts.

  If it is conditional, its parts share one embedding network of conditions, and
  a conditional base distribution is its last part.
  """
  if config.enters_at('base'):
    parts = [*parts, layers.ConditionalAffine(
        config.condition_features, per_feature=True, name='base', dtype=dtype)]
  bijection = layers.SequentialBijection(parts, name='bijection', dtype=dtype)
  return layers.Conditional(
      bijection, _make_network(config, dtype), name='conditional', dtype=dtype
  ) if config.is_conditional else bijection


def _make_network(config, dtype):
  """Returns the embedding network of conditions, shared by all parts."""
  settings = {'seed': config.seed * 100_003 + _SEED_OFFSET,
              'name': 'condition', 'dtype': dtype}
  if config.condition_labels:
    return layers.LabelEmbedding(
        config.condition_labels, config.condition_features, **settings)
  moments = config.schema.moments(schema_lib.CONDITION) if config.schema else ()
  return layers.VectorNetwork(
      config.condition_size, config.condition_features,
      config.condition_hidden_units, *moments, **settings)
