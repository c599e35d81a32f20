"""What the configurations of all flows of blocks have in common."""

import dataclasses
from typing import Literal

from tf_resflow.models import block_types
from tf_resflow.models import conditions
from tf_resflow.models import norm_orders
from tf_resflow.specs import fields
from tf_resflow.specs import registries

# That of the released code.
_ROULETTE = 'roulette:poisson:2,exact=2'


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockFlowConfig(conditions.ConditionalConfig):
  """Blocks of one kind, and how their log-determinants are estimated."""

  block: str = fields.field(
      'residual', help='Block that the flow stacks. Coupling blocks are the '
      'baseline of Tables 4 and 5, with --activation=relu there: exact, '
      'unconstrained, and without --constraint, --lipschitz_coeff, --estimator '
      'and --memory, which make no difference to them.',
      choices=registries.BLOCKS)
  invertible_linear: str | Literal['none'] = fields.field(
      fields.NONE, help='Invertible linear map before every block but those on '
      'flattened images: a 1 x 1 convolution, or a matrix where the block is '
      'dense; free trains the matrix, lu its factors.',
      choices=registries.MATRICES)
  constraint: str = fields.field(
      'spectral', help='What keeps the linear layers to lipschitz_coeff; '
      'spectral divides kernels by their norm.', choices=registries.CONSTRAINTS)
  norms: tuple[str, ...] = fields.field(
      ('2',), help='Orders p of the norms l_p that layers of g go from and to: '
      'one for all, such as inf; one more than there are layers, the last at '
      'most the first, such as 2,1.5,2,2; or learned, each in (1, 5).',
      min_length=1)
  norm_bound: str = fields.field(
      'upper', help='What kernels are divided by where their norm is hard to '
      'compute, unlike 2 to 2, 1 to q and p to inf: upper, a proven bound; '
      'estimate, what a power method finds, which may be too low; released, '
      'that of the released code, lower still for 1 x 1 kernels.',
      choices=registries.NORM_BOUNDS)
  uncertified: bool = fields.field(
      False, help='Take norms that prove no contraction, such as 1,2,2,inf: '
      'whether such blocks are invertible is not known.')
  activation: str = fields.field(
      'lipswish', help='Activation of g.', choices=registries.ACTIVATIONS)
  lipschitz_coeff: float = fields.field(
      0.98, help='Bound of the operator norm of every layer.', above=0,
      below=1)
  act_norm: bool = fields.field(True, help='ActNorm after every block.')
  moving_mean: bool = fields.field(
      False, help='Batch normalisation of means alone after every block, by '
      'moving statistics.')
  estimator: str | Literal['auto'] = fields.field(
      _ROULETTE, help='Estimator of the log-determinants, such as '
      'roulette:geometric:0.5,exact=2,probe=gaussian; samples=4 averages four '
      'draws of the number of terms, in one series; auto is exact for vectors '
      f'of two numbers, where that takes the least time, and {_ROULETTE} '
      'elsewhere.', choices=registries.ESTIMATORS, changes_function=False)
  memory: str = fields.field(
      'recompute', help='How the gradient of the log-determinants is computed, '
      'by estimators that run a series: all but exact.',
      choices=registries.MEMORY_MODES, changes_function=False,
      resumable=lambda config, other: {config.memory, other.memory} <= {
          *registries.AGREEING_MEMORY_MODES})
  seed: int = fields.field(
      0, help='Seed of the initial weights, that of the run.', minimum=0,
      changes_function=False, is_flag=False)

  @property
  def block_type(self) -> block_types.BlockType:
    """What `block` names."""
    return block_types.BlockType.of(self.block)

  def training_estimator(self) -> str | None:
    if 'estimator' in self.block_type.unused_fields:
      return None
    return _ROULETTE if self.estimator == fields.AUTO else self.estimator

  def check(self) -> None:
    super().check()
    norm_orders.check(self.norms, self.uncertified)
    self.block_type.check(self)
