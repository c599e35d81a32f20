"""What the condition of a flow of blocks is, and where it enters."""

import dataclasses
from typing import Any

from tf_resflow import layers
from tf_resflow.models import model_config
from tf_resflow.specs import fields

# Beside those of the blocks, which count from 0.
_SEED_OFFSET = 50_021

# From places of a block to what is there: its class in `layers`, and its name
# behind that of the block.
_PLACES = {
    'blocks': ('ConditionShift', 'shift'),
    'gates': ('ConditionGate', 'gate'),
    'act_norm': ('ConditionalAffine', 'affine'),
    'linear': ('ConditionalLinear', 'conditional_linear')}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionalConfig(model_config.ModelConfig):
  """What conditions are, which follows from the data, and where they enter."""

  condition_at: tuple[str, ...] = fields.field(
      ('blocks', 'base'), help='Where a condition enters: blocks, behind the '
      'first linear layer of their networks; gates, a factor in (0, 1) of '
      'every residual g; act_norm, scales and shifts behind every block; '
      'linear, a linear map before every block but those on flattened images; '
      'base, mean and scale of the latents.',
      choices=(*_PLACES, 'base'), min_length=1)
  condition_features: int = fields.field(
      32, help='Numbers that a condition becomes, in one network for the whole '
      'flow: a learned vector for every label.', minimum=1)
  condition_hidden_units: tuple[int, ...] = fields.field(
      (64, 64), help='Widths of the hidden layers of the network '
      'of conditions that are numbers.', minimum=1)
  condition_labels: int = fields.field(
      0, help='Number of labels that are conditions; 0 for none.', minimum=0,
      is_flag=False)
  condition_size: int = fields.field(
      0, help='Numbers of a condition; 0 for none.', minimum=0, is_flag=False)
  condition_mean: tuple[float, ...] = fields.field(
      (), help='What is subtracted from conditions first.', is_flag=False)
  condition_std: tuple[float, ...] = fields.field(
      (), help='What they are divided by then.', above=0, is_flag=False)
  condition_names: tuple[str, ...] = fields.field(
      (), help='What the numbers of a condition are called.', is_flag=False,
      changes_function=False)

  @property
  def is_conditional(self) -> bool:
    """Whether the flow is `p(x|c)`."""
    return bool(self.condition_labels or self.condition_size)

  def enters_at(self, place: str) -> bool:
    """Whether there is a condition, and it enters there."""
    return self.is_conditional and place in self.condition_at

  def check(self) -> None:
    super().check()
    self.require(
        not (self.condition_labels and self.condition_size), 'condition_size',
        '0 where conditions are labels')
    self.require(
        len(set(self.condition_at)) == len(self.condition_at), 'condition_at',
        'every place once')
    self.require_lengths(
        ('condition_mean', 'condition_std', 'condition_names'),
        (self.condition_size,),
        f'{self.condition_size} of them, one per number, or none')
    if not self.is_conditional:
      self.require_defaults(
          ('condition_at', 'condition_features', 'condition_hidden_units'),
          'without a condition', '--condition says what the condition is.')


def make_parts(place: str, request: Any) -> list[Any]:
  """Returns what a block has at a place of `condition_at`: a layer, or none.

  Args:
    place: one of those, but for the base.
    request: a `blocks.BlockRequest`.
  """
  if not request.config.enters_at(place) or (
      place == 'linear' and request.flattened_from is not None):
    return []
  kind, suffix = _PLACES[place]
  settings = {'per_feature': request.kernel_sizes is None} if (
      place == 'linear') else {}
  return [getattr(layers, kind)(
      request.config.condition_features, **settings,
      name=f'{request.name}_{suffix}', dtype=request.dtype)]


def make_flow(parts: list['layers.Bijection'], config: ConditionalConfig,
              dtype: str) -> 'layers.Bijection':
  """Returns the bijection of a flow, of its parts.

  With a condition that is a chain of them behind one network; the base
  distribution is its last part.
  """
  if config.enters_at('base'):
    parts = [*parts, layers.ConditionalAffine(
        config.condition_features, per_feature=True, name='base', dtype=dtype)]
  chain = layers.SequentialBijection(parts, name='bijection', dtype=dtype)
  return layers.Conditional(
      chain, _make_network(config, dtype), name='conditional', dtype=dtype
  ) if config.is_conditional else chain


def _make_network(config, dtype):
  """Returns what all parts of a flow share: the network of its conditions."""
  settings = {'seed': config.seed * 100_003 + _SEED_OFFSET,
              'name': 'condition', 'dtype': dtype}
  if config.condition_labels:
    return layers.LabelEmbedding(
        config.condition_labels, config.condition_features, **settings)
  return layers.VectorNetwork(
      config.condition_size, config.condition_features,
      config.condition_hidden_units, config.condition_mean,
      config.condition_std, config.condition_names, **settings)
