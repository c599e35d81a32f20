"""Configuration of the fully connected flow on vectors."""

import dataclasses
from typing import Literal

from tf_resflow import models
from tf_resflow.models import block_flow_config
from tf_resflow.models import norm_orders
from tf_resflow.specs import fields
from tf_resflow.specs import registries

# Largest vector size for which training steps with exact log-determinants are
# faster than with Russian roulette; see the times in docs/exact.md.
_MAX_EXACT_SIZE = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class VectorFlowConfig(block_flow_config.BlockFlowConfig):
  """Fully connected flow on vectors."""

  takes_input_noise = True

  event_size: int = fields.field(
      2, help='Size of a vector.', minimum=1, is_flag=False)
  num_blocks: int = fields.field(
      8, help='Number of blocks.', minimum=1, maximum=10_000, is_basic=True)
  hidden_units: tuple[int, ...] = fields.field(
      (64, 64), help='Hidden layer widths of residual networks.', minimum=1,
      is_basic=True)
  base: str = fields.field(
      'normal', help='Base distribution of the latents: normal (standard), or '
      'mixture (of at most 10 Gaussians, or mixture:N, fitted to training '
      'rows; blocks begin as the identity, so that with --keep_best the flow '
      'is never worse than it on the validation rows). auto trains with '
      'normal, and where the mixture alone is better on the validation rows '
      'then, again with that, in the folder mixture_base of the run.',
      choices=registries.BASES, placeholders=(fields.AUTO,))
  lipschitz_coeff: float = fields.changed(
      block_flow_config.BlockFlowConfig, 'lipschitz_coeff', 0.9)
  estimator: str | Literal['auto'] = fields.changed(
      block_flow_config.BlockFlowConfig, 'estimator', fields.AUTO)

  @property
  def first_base(self) -> str:
    """The base that training begins with."""
    return 'normal' if self.base == fields.AUTO else self.base

  def training_estimator(self) -> str | None:
    spec = super().training_estimator()
    is_auto = self.estimator == fields.AUTO
    return 'exact' if (
        spec and is_auto and self.event_size <= _MAX_EXACT_SIZE) else spec

  def check(self) -> None:
    super().check()
    norm_orders.check_length(self.norms, len(self.hidden_units) + 1, 'blocks')
    size = len(self.schema.modelled) if self.schema else 0
    self.require(
        size in (0, self.event_size), 'event_size',
        f'the number of modelled columns in the schema, {size}')

  def build(self, dtype: str = 'float32') -> 'models.VectorFlow':
    """Returns a new `models.VectorFlow`; see `ModelConfig.build`."""
    return models.VectorFlow(self, dtype=dtype)
