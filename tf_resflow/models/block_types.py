"""Block types of flows; choosing one does not import TensorFlow."""

from collections.abc import Callable
import dataclasses
import math
from typing import Any, ClassVar

from tf_resflow import layers
from tf_resflow import models
from tf_resflow.specs import registries
from tf_resflow.specs import spec


@dataclasses.dataclass(frozen=True)
class PartType(spec.Specified):
  """What a field of a configuration selects, by a spec such as `NAME:VALUE`.

  The field has the name of the noun of the registry. Fields of subclasses are
  the arguments of the spec.

  Attributes:
    unused_fields: fields of configurations that have no effect on it, of
      vectors (`hidden_units`), images (`hidden_channels`) or both.
    unused_injection_points: values of `condition_at` that it does not support.
    accepted_values: values of unused fields that are accepted because they
      describe it correctly.
  """

  unused_fields: ClassVar[tuple[str, ...]] = ()
  unused_injection_points: ClassVar[tuple[str, ...]] = ()
  accepted_values: ClassVar[tuple[tuple[str, Any], ...]] = ()

  def check(self, config: Any) -> None:
    """Raises `InvalidValueError` if a field is set that has no effect here."""
    noun = self.registry.noun
    where = f'with {noun}={getattr(config, noun)}'
    foreign = [point for point in self.unused_injection_points
               if config.enters_at(point)]
    config.require(
        not foreign, 'condition_at', problem=f'cannot be used {where}',
        advice=f'Leave out {", ".join(foreign)}, which it does not have.')
    config.require_defaults(
        [name for name in self.unused_fields
         if (name, getattr(config, name, None)) not in self.accepted_values],
        where)


@dataclasses.dataclass(frozen=True)
class BlockType(PartType):
  """A factory of blocks, selected by `--block`; see `PartType`.

  Example:
    >>> models.BlockType.of('coupling').unused_injection_points
    ('gates',)
    >>> models.VectorFlowConfig(block='coupling', memory='naive')
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: memory=naive has no effect ...
  """

  registry: ClassVar = registries.BLOCKS

  @classmethod
  def of(cls, text: str) -> 'BlockType':
    """Returns the type that a spec names; see `registries.BLOCKS`."""
    name = spec.Spec.parse(text, 'block').name
    is_block_type = hasattr(registries.BLOCKS.get(name), 'from_spec')
    return cls.get(text) if is_block_type else NetworkBlockType(
        registries.BLOCKS.get(text))

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    """Returns a block, which preserves the shape of events."""
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class NetworkBlockType(BlockType):
  """Blocks of a class that takes the arguments of `layers.ResidualBlock`."""

  block_class: Callable[..., 'layers.Bijection']

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    return models.make_residual_block(request, self.block_class)


@dataclasses.dataclass(frozen=True)
class Residual(BlockType):
  """The residual block of the paper."""

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    return models.make_residual_block(request)


@dataclasses.dataclass(frozen=True)
class Inverse(BlockType):
  """The inverse of a residual block, as in implicit flows."""

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    return layers.Inverse(
        models.make_residual_block(request), name=f'{request.name}_inverse')


@dataclasses.dataclass(frozen=True)
class Coupling(BlockType):
  """The affine coupling block of the paper's Tables 4 and 5.

  Its network is that of the residual block, unconstrained. As in the authors'
  code, masks of convolutions are checkerboards on preprocessed pixels and half
  of the channels elsewhere; those of dense networks are half of the channels of
  the flattened image or, if their number is odd, half of its values.
  """

  unused_fields: ClassVar = (
      'network', 'constraint', 'norms', 'norm_bound', 'uncertified',
      'lipschitz_coeff', 'estimator', 'memory')
  unused_injection_points: ClassVar = ('gates',)
  accepted_values: ClassVar = (('estimator', 'exact'),)

  def make(self, request: 'models.BlockRequest') -> 'layers.Bijection':
    is_dense = request.kernel_sizes is None
    shape = request.flattened_from or request.event_shape
    if is_dense and shape[-1] % 2:
      shape = (math.prod(shape),)
    mask = 'checkerboard' if request.sees_pixels and not is_dense else 'channel'
    swap = request.index_in_scale % 2 == 1
    halves = registries.MASKS.get(mask)(shape, swap=swap)
    return layers.AffineCoupling(
        models.make_plain_network(
            request._replace(event_shape=halves.network_shape),
            halves.output_shape, is_constrained=False), mask, swap,
        None if shape == request.event_shape else shape, name=request.name,
        dtype=request.dtype)
