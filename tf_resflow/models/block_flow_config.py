"""What the configurations of all flows of residual blocks have in common."""

import dataclasses

from tf_resflow.configuration import fields
from tf_resflow.configuration import model_config
from tf_resflow.configuration import registries


def _have_equal_gradients(
    config: fields.Section, other: fields.Section) -> bool:
  return {config.memory, other.memory} <= {*registries.AGREEING_MEMORY_MODES}


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockFlowConfig(model_config.ModelConfig):
  """Blocks of one kind, and how their log-determinants are estimated."""

  block: str = fields.field(
      'residual', help='Block that the flow stacks.',
      choices=registries.BLOCKS)
  constraint: str = fields.field(
      'spectral', help='What keeps the linear layers to lipschitz_coeff.',
      choices=registries.CONSTRAINTS)
  activation: str = fields.field(
      'lipswish', help='Activation of g.', choices=registries.ACTIVATIONS)
  lipschitz_coeff: float = fields.field(
      0.98, help='Bound of the operator norm of every layer.', above=0,
      below=1)
  act_norm: bool = fields.field(True, help='ActNorm after every block.')
  estimator: str = fields.field(
      'roulette:poisson:2,exact=2', help='Estimator of the log-determinants, '
      'such as roulette:geometric:0.5,exact=2,probe=gaussian.',
      kinds=registries.ESTIMATORS, changes_function=False)
  memory: str = fields.field(
      'recompute', help='How the gradient of the log-determinants is computed.',
      choices=registries.MEMORY_MODES, changes_function=False,
      resumable=_have_equal_gradients)
  seed: int = fields.field(
      0, help='Seed of the initial weights, that of the run.', minimum=0,
      changes_function=False, is_flag=False)
