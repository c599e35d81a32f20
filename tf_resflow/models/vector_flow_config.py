"""The configuration of a flow on vectors."""

import dataclasses
from typing import Literal

from tf_resflow import models
from tf_resflow.models import block_flow_config
from tf_resflow.models import norm_orders
from tf_resflow.specs import fields

# Numbers of a vector up to which a training step with exact log-determinants
# takes less time than one with the roulette; docs/performance.md has the times.
_MAX_EXACT_SIZE = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorFlowConfig(block_flow_config.BlockFlowConfig):
  """A flow of dense blocks on vectors; `bin/train --help` lists the fields.

  Example:
    >>> config = models.VectorFlowConfig(event_size=4, hidden_units=(32,))
  """

  event_size: int = fields.field(
      2, help='Numbers of a vector.', minimum=1, is_flag=False)
  column_mean: tuple[float, ...] = fields.field(
      (), help='What is subtracted from vectors first, a number per column; '
      'none leaves them as they are.', is_flag=False)
  column_std: tuple[float, ...] = fields.field(
      (), help='What they are divided by then.', above=0, is_flag=False)
  column_names: tuple[str, ...] = fields.field(
      (), help='What their numbers are called.', is_flag=False,
      changes_function=False)
  num_blocks: int = fields.field(8, help='Blocks.', minimum=1)
  hidden_units: tuple[int, ...] = fields.field(
      (64, 64), help='Widths of the hidden layers of g.', minimum=1)
  lipschitz_coeff: float = fields.changed(
      block_flow_config.BlockFlowConfig, 'lipschitz_coeff', 0.9)
  estimator: str | Literal['auto'] = fields.changed(
      block_flow_config.BlockFlowConfig, 'estimator', fields.AUTO)

  def training_estimator(self) -> str | None:
    spec = super().training_estimator()
    is_auto = self.estimator == fields.AUTO
    return 'exact' if (
        spec and is_auto and self.event_size <= _MAX_EXACT_SIZE) else spec

  def check(self) -> None:
    super().check()
    norm_orders.check_length(self.norms, len(self.hidden_units) + 1, 'blocks')
    self.require_lengths(
        ('column_mean', 'column_std', 'column_names'), (self.event_size,),
        f'{self.event_size} of them, one per column, or none')

  def build(self, dtype: str = 'float32') -> 'models.VectorFlow':
    """Returns a new `models.VectorFlow`; see `ModelConfig.build`."""
    return models.VectorFlow(self, dtype=dtype)
