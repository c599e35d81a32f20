"""Types of blocks that flows stack, as values that need no TensorFlow."""

from collections.abc import Callable
import dataclasses
import math
from typing import Any, ClassVar, Self

from tf_resflow import layers
from tf_resflow import models
from tf_resflow.specs import registries
from tf_resflow.specs import spec


@dataclasses.dataclass(frozen=True)
class BlockType(spec.Specified):
  """How blocks of one type are made, and what makes no difference to them.

  Its fields are what a spec may say behind the name: `--block=NAME:VALUE`.

  Attributes:
    unused_fields: fields of the configuration that it does not use.
    unused_places: places where a condition may enter that it does not have.
    anyway: values of unused fields that say what is true of such blocks; they
      may be given.

  Example:
    >>> models.BlockType.of('coupling').unused_places
    ('gates',)
    >>> models.VectorFlowConfig(block='coupling', memory='naive')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: memory=naive: has no effect ...
  """

  registry: ClassVar = registries.BLOCKS
  unused_fields: ClassVar[tuple[str, ...]] = ()
  unused_places: ClassVar[tuple[str, ...]] = ()
  anyway: ClassVar[tuple[tuple[str, Any], ...]] = ()

  @classmethod
  def of(cls, text: str) -> Self:
    """Returns the type that a spec names; see `registries.BLOCKS`."""
    name = spec.Spec.parse(text, 'block').name
    is_block_type = hasattr(registries.BLOCKS.get(name), 'from_spec')
    return cls.get(text) if is_block_type else NetworkBlockType(
        registries.BLOCKS.get(text))

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    """Returns a block, which keeps the shape of its events.

    Args:
      request: what the flow asks for.
    """
    raise NotImplementedError

  def check(self, config: Any) -> None:
    """Refuses what makes no difference, and is set.

    Args:
      config: a `BlockFlowConfig`.

    Raises:
      InvalidValueError: naming the field.
    """
    where = f'with block={config.block}'
    foreign = [p for p in self.unused_places if p in config.condition_at]
    config.require(
        not foreign, 'condition_at', f'others than {", ".join(foreign)} '
        f'{where}', 'Such blocks have no such place.')
    config.require_defaults(
        [name for name in self.unused_fields
         if (name, getattr(config, name)) not in self.anyway], where,
        'It makes no difference to such blocks.')


@dataclasses.dataclass(frozen=True)
class NetworkBlockType(BlockType):
  """Blocks of a network `g`, with the arguments of `layers.ResidualBlock`.

  Attributes:
    kind: their class.
  """

  kind: Callable[..., 'layers.Bijection']

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    return models.make_residual_block(request, self.kind)


@dataclasses.dataclass(frozen=True)
class Residual(BlockType):
  """The residual block of the paper."""

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    return models.make_residual_block(request)


@dataclasses.dataclass(frozen=True)
class Inverse(BlockType):
  """A residual block turned around, as in implicit flows."""

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    return layers.Inverse(
        models.make_residual_block(request), name=f'{request.name}_inverse')


@dataclasses.dataclass(frozen=True)
class Coupling(BlockType):
  """The coupling block of the paper's Tables 4 and 5.

  Its network is that of the residual block, unconstrained. As in the authors'
  code, convolutions see a checkerboard where events are preprocessed pixels,
  and half of the channels elsewhere; dense networks see half of the channels of
  the flattened image, or, where their number is odd, of its values.
  """

  unused_fields: ClassVar = (
      'constraint', 'norms', 'norm_bound', 'uncertified', 'lipschitz_coeff',
      'estimator', 'memory')
  unused_places: ClassVar = ('gates',)
  anyway: ClassVar = (('estimator', 'exact'),)

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    is_dense = request.kernel_sizes is None
    shape = request.flattened_from or request.event_shape
    if is_dense and shape[-1] % 2:
      shape = (math.prod(shape),)
    mask = 'checkerboard' if request.sees_pixels and not is_dense else 'channel'
    swap = request.place % 2 == 1
    halves = registries.MASKS.get(mask)(shape, swap=swap)
    return layers.AffineCoupling(
        models.make_unconstrained_network(
            request, halves.network_shape, halves.output_shape), mask, swap,
        None if shape == request.event_shape else shape, name=request.name,
        dtype=request.dtype)
