"""Base class of the configurations of flows of blocks."""

import dataclasses
from typing import Literal

from tf_resflow.models import block_types
from tf_resflow.models import conditions
from tf_resflow.models import dequantization_types
from tf_resflow.models import network_types
from tf_resflow.models import norm_orders
from tf_resflow.specs import fields
from tf_resflow.specs import registries

# The estimator of the released code.
_ROULETTE = 'roulette:poisson:2,exact=2'


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockFlowConfig(conditions.ConditionalConfig):
  """Blocks and log-determinant estimators."""

  block: str = fields.field(
      'residual', help='Block type: residual; monotone (steeper slopes, twice '
      'the time or more); inverse (of residual blocks, as in implicit flows, '
      'for experiments); or coupling (affine, a baseline; '
      'without --network, --constraint, --lipschitz_coeff, --estimator, '
      '--memory).', choices=registries.BLOCKS, is_basic=True)
  network: str = fields.field(
      'plain', help='Network of residual blocks: plain (linear layers and '
      'activations, of --hidden_units or --hidden_channels), '
      'densenet:3,growth=16 (concatenations), sll:3,width=32 (residual '
      'layers that need no norm, without --activation) or cpl:3,width=32 (with '
      'norms); the others bring their sizes, see docs/blocks.md.',
      choices=registries.NETWORKS)
  dequantization: str = fields.field(
      'uniform', help='Noise of integers, of pixels or columns: uniform, or '
      'variational:4,channels=32 (learned, with as many blocks, for a tighter '
      'bound), see docs/blocks.md.', choices=registries.DEQUANTIZATIONS)
  invertible_linear: str | Literal['none'] = fields.field(
      fields.NONE, help='Invertible linear map before each block, except dense '
      'blocks on flattened images (1 x 1 convolution for images, matrix for '
      'vectors): free trains the matrix, lu its LU factors (never singular).',
      choices=registries.MATRICES)
  constraint: str = fields.field(
      'spectral', help='Lipschitz constraint of linear layers; others can be '
      'registered (docs/extending.md).', choices=registries.CONSTRAINTS)
  norms: tuple[str, ...] = fields.field(
      ('2',), help='Orders p of the l_p norms of layer inputs and outputs: 2 '
      '(usual), another for all, a list (layers + 1 orders, last <= first), or '
      'learned (in (1, 5)).', min_length=1)
  norm_bound: str = fields.field(
      'upper', help='With --norms other than 2: divide kernels by upper '
      '(proven bound), estimate (power method, may be too low) or released '
      '(as the authors, may be lower still).',
      choices=registries.NORM_BOUNDS)
  uncertified: bool = fields.field(
      False, help='Allow --norms that do not prove a contraction, such as '
      '1,2,2,inf; such blocks may not be invertible.')
  activation: str = fields.field(
      'lipswish', help='Activation of residual networks: cpila did best in '
      'docs/results.md, lipswish is that of the paper.',
      choices=registries.ACTIVATIONS, is_basic=True)
  lipschitz_coeff: float = fields.field(
      0.98, help='Upper bound of the operator norm of each linear layer; lower '
      'it for faster inverses, raise it for expressiveness.', above=0,
      below=1)
  act_norm: bool = fields.field(True, help='Apply ActNorm after each block.')
  moving_mean: bool = fields.field(
      False, help='Subtract a moving mean (mean-only batch normalisation) '
      'after each block.')
  estimator: str | Literal['auto'] = fields.field(
      _ROULETTE, help='Log-determinant estimator; leave it unless you study '
      f'estimators. auto is exact for 2-D vectors, otherwise {_ROULETTE} '
      '(unbiased Russian roulette after 2 exact terms); fixed:10 is biased, '
      'docs/exact.md has the others.', choices=registries.ESTIMATORS,
      changes_function=False, is_basic=True)
  memory: str = fields.field(
      'recompute', help='Gradients of estimated log-determinants: recompute '
      'uses the least memory, naive the most; docs/performance.md compares '
      'them.',
      choices=registries.MEMORY_MODES, changes_function=False,
      resumable=lambda config, other: {config.memory, other.memory} <= {
          *registries.AGREEING_MEMORY_MODES})
  seed: int = fields.field(
      0, help='Seed of the initial weights, equal to --seed.', minimum=0,
      changes_function=False, is_flag=False)

  @property
  def block_type(self) -> block_types.BlockType:
    """Type of the blocks."""
    return block_types.BlockType.of(self.block)

  @property
  def network_type(self) -> network_types.NetworkType:
    """Type of the networks of the blocks."""
    return network_types.NetworkType.get(self.network, 'network')

  @property
  def dequantization_type(self) -> dequantization_types.DequantizationType:
    """Type of the noise of integers."""
    return dequantization_types.DequantizationType.get(
        self.dequantization, 'dequantization')

  def training_estimator(self) -> str | None:
    if 'estimator' in self.block_type.unused_fields:
      return None
    return _ROULETTE if self.estimator == fields.AUTO else self.estimator

  def check(self) -> None:
    super().check()
    norm_orders.check(self.norms, self.uncertified)
    self.block_type.check(self)
    self.network_type.check(self)
    self.dequantization_type.check(self)
