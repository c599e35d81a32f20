"""The blocks that flows stack, their networks, and what images pass first."""

from collections.abc import Callable, Iterable
import math
from typing import Any, NamedTuple

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.configuration import registries

# Initializer seeds of one layer span three integers, see `SpectralLayer`.
_SEEDS_PER_LAYER = 4
_SEEDS_PER_BLOCK = 64


class BlockRequest(NamedTuple):
  """What a flow asks a kind of block for.

  A kind is registered as `registries.BLOCKS.register(NAME, make_fn)`;
  `make_fn(request)` returns a `layers.Bijection` that keeps the shape of its
  events. `make_network` makes networks as the flags describe them.

  Attributes:
    config: a `BlockFlowConfig`: activation, constraint, estimator, ...
    event_shape: of the events, `(H, W, C)` or `(D,)`.
    index: number of the block in its flow.
    name: of the block.
    hidden: widths of the hidden layers of its networks.
    kernel_sizes: of their convolutions, one more than `hidden`; None for dense
      networks, which see flattened events.
    activate_input: whether its networks start with an activation.
    dtype: of the block.
  """

  config: Any
  event_shape: tuple
  index: int
  hidden: tuple
  kernel_sizes: tuple | None
  activate_input: bool
  dtype: str

  @property
  def name(self) -> str:
    """The name of the block among the layers of its flow."""
    return f'block_{self.index}'

  @property
  def seed(self) -> int:
    """The first of the seeds that its initial weights may take."""
    return self.config.seed * 100_003 + self.index * _SEEDS_PER_BLOCK


def make_network(request: BlockRequest) -> layers.Sequence:
  """Returns a network that maps events to events of the same shape.

  Linear layers of `config.constraint`, with activations between them. An
  activation may change the number of channels; the next layer takes what comes.

  Args:
    request: what the flow asked for.
  """
  config, dtype = request.config, request.dtype
  constraint = registries.CONSTRAINTS.get(config.constraint)
  make_activation = registries.ACTIVATIONS.get(config.activation)
  if request.kernel_sizes is None:
    make_linear, kind = constraint.dense, 'dense'
    arguments = [(width,) for width in (
        *request.hidden, math.prod(request.event_shape))]
  else:
    make_linear, kind = constraint.conv2d, 'conv'
    arguments = zip(
        (*request.hidden, request.event_shape[-1]), request.kernel_sizes,
        strict=True)
  parts = []
  for i, sizes in enumerate(arguments):
    if i > 0 or request.activate_input:
      parts.append(make_activation(
          name=f'{request.name}_act_{i}', dtype=dtype))
    parts.append(make_linear(
        *sizes, name=f'{request.name}_{kind}_{i}', dtype=dtype,
        coeff=config.lipschitz_coeff,
        seed=request.seed + i * _SEEDS_PER_LAYER))
  if request.kernel_sizes is None and len(request.event_shape) > 1:
    parts = [layers.Reshape((-1,), dtype=dtype), *parts,
             layers.Reshape(request.event_shape, dtype=dtype)]
  return layers.Sequence(parts, name=f'{request.name}_g')


def make_residual_block(request: BlockRequest) -> layers.ResidualBlock:
  """Returns the residual block of the paper."""
  return layers.ResidualBlock(
      make_network(request), estimator=request.config.estimator,
      memory=request.config.memory, name=request.name, dtype=request.dtype)


def make_blocks(
    requests: Iterable[BlockRequest], make_norms: Callable,
) -> list[layers.Bijection]:
  """Returns blocks of the kind `config.block`, and what follows each.

  Args:
    requests: what the flow asks for, block by block.
    make_norms: from the index of a block to a list of bijections.
  """
  return [
      part for request in requests for part in (
          registries.BLOCKS.get(request.config.block)(request),
          *make_norms(request.index))]


def make_logit(config: Any, dtype: str) -> layers.Bijection:
  """Returns the logit transform of `config.logit_alpha`."""
  return layers.Logit(config.logit_alpha, name='logit', dtype=dtype)


def make_standardize(config: Any, dtype: str) -> layers.Bijection:
  """Returns the standardisation by `config.mean` and `config.std`."""
  errors.check(
      bool(config.mean), 'mean', '', 'one number per channel',
      'Give it and std, which the images are standardised by.')
  return layers.Standardize(
      config.mean, config.std, name='standardize', dtype=dtype)


def make_nothing(unused_config: Any, dtype: str) -> layers.Bijection:
  """Returns the identity."""
  return layers.Chain([], name='none', dtype=dtype)
