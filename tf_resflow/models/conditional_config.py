"""The configuration of what a flow makes of a condition."""

import dataclasses

from tf_resflow.configuration import fields
from tf_resflow.configuration import model_config

_PLACES = ('blocks', 'gates', 'act_norm', 'linear', 'base')


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConditionalConfig(model_config.ModelConfig):
  """What conditions are, which follows from the data, and where they enter."""

  condition_at: tuple[str, ...] = fields.field(
      ('blocks', 'base'), help='Where a condition enters: blocks, behind the '
      'first linear layer of their networks; gates, a factor in (0, 1) of '
      'every residual g; act_norm, scales and shifts behind every block; '
      'linear, a linear map before every block but those on flattened images; '
      'base, mean and scale of the latents.',
      choices=_PLACES, min_length=1)
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
