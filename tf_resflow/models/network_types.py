"""Types of networks of blocks; choosing one does not import TensorFlow."""

import dataclasses
import math
from typing import Any, ClassVar

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.models import block_types
from tf_resflow.models import conditions
from tf_resflow.specs import registries
from tf_resflow.specs import spec

# Fields of plain networks alone.
_SIZES = ('hidden_units', 'hidden_channels', 'kernel_sizes',
          'dense_hidden_units', 'num_dense_hidden_layers', 'preactivation',
          'activate_first_block')
# Blocks have seeds for as many layers, with the last one, see `BlockRequest`.
_MAX_DEPTH = 13
_NORMS = ('norms', 'norm_bound', 'uncertified')
# Initial size of what the activations of SLL are given.
_SHARPNESS = 3.0
# Bound of the linear maps of CPL, which has the constant 1 for all below 1.
_CPL_COEFF = 0.98


@dataclasses.dataclass(frozen=True)
class NetworkType(block_types.PartType):
  """A factory of the networks `g` of residual blocks, selected by `--network`.

  See `block_types.PartType`.

  Attributes:
    counts_work: whether all that takes time are constrained layers, whose work
      is known.

  Example:
    >>> models.NetworkType.get('densenet:3,growth=8')
    densenet:3,growth=8
    >>> models.VectorFlowConfig(network='densenet', hidden_units=(8,))
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: hidden_units=8 has no effect with
    network=densenet. Leave it out, or at its default, 64,64.
  """

  registry: ClassVar = registries.NETWORKS
  counts_work: ClassVar[bool] = True

  def make(self, request: 'models.BlockRequest') -> 'layers.LipschitzLayer':
    """Returns a network that preserves the shape of events, of bound < 1."""
    raise NotImplementedError

  def require(self, ok: bool, expected: str) -> None:
    """Raises `InvalidValueError` for the spec unless `ok`."""
    errors.check(ok, self.registry.noun, self.spec(), expected)


@dataclasses.dataclass(frozen=True)
class Plain(NetworkType):
  """The network of the paper: linear layers with activations between them."""

  def make(self, request: 'models.BlockRequest') -> 'layers.LipschitzLayer':
    return models.make_plain_network(request)


@dataclasses.dataclass(frozen=True)
class DenseNet(NetworkType):
  """Concatenations `[a x, b h(x)]`, then a linear layer: i-DenseNets.

  `h` is a linear layer, of 3 x 3 kernels on images, and an activation. The last
  layer has 1 x 1 kernels.

  Args:
    depth: number of concatenations.
    growth: channels that each of them adds.
    dense_growth: those of the dense blocks at the end of flows of images; 0 for
      the same.
    first: width of a linear layer before these, likewise; 0 for none.

  References:
    Perugachi-Diaz, Tomczak, Bhulai, 2021, Invertible DenseNets with
    Concatenated LipSwish.
  """

  unused_fields: ClassVar = _SIZES + _NORMS

  depth: int = 3
  growth: int = spec.option(16, 'growth')
  dense_growth: int = spec.option(0, 'dense_growth')
  first: int = spec.option(0, 'first')

  def __post_init__(self):
    self.require(
        0 < self.depth <= _MAX_DEPTH and self.growth > 0 and
        min(self.dense_growth, self.first) >= 0,
        f'a depth of 1 to {_MAX_DEPTH}, and a growth of at least 1')

  def check(self, config: Any) -> None:
    super().check(config)
    self.require(
        config.is_image or not (self.dense_growth or self.first),
        'no dense_growth and first, which are for flows of images')

  def make(self, request: 'models.BlockRequest') -> 'layers.LipschitzLayer':
    is_flat = request.flattened_from is not None
    growth = is_flat and self.dense_growth or self.growth
    parts = models.make_linear(request, 0, self.first) if (
        is_flat and self.first) else []
    start = len(parts[:1])
    for i in range(start, start + self.depth):
      activation = models.make_activation(request, i)
      _, factor = activation.compute_output_shape((None, 1))
      self.require(
          growth % factor == 0, f'a growth divisible by {factor}, as '
          f'{request.config.activation} multiplies channels')
      parts.append(layers.Concatenation(layers.LipschitzSequential([
          *models.make_linear(request, i, growth // factor, kernel_size=3),
          activation]), name=f'{request.name}_concat_{i}'))
    return models.make_sequence(request, [*parts, *models.make_linear(
        request, start + self.depth, request.num_channels, is_last=True)])


@dataclasses.dataclass(frozen=True)
class SLL(NetworkType):
  """Residual layers with Lipschitz bound 1, then a linear layer.

  See `layers.SLL`. The first one appends channels of zeros up to `width`, and
  its output is shifted by a condition, so this needs a depth of 2.

  Args:
    depth: number of residual layers.
    width: their inner channels, and the least number of outer ones.
    kernel_size: of the convolutions in them; the last layer has 1 x 1 kernels.

  References:
    Araujo, Havens, Delattre, Allauzen, Hu, 2023, A Unified Algebraic
    Perspective on Lipschitz Neural Networks.
  """

  unused_fields: ClassVar = (*_SIZES, *_NORMS, 'activation')
  counts_work: ClassVar = False

  depth: int = 3
  width: int = spec.option(32, 'width')
  kernel_size: int = spec.option(3, 'kernel')

  def __post_init__(self):
    self.require(
        0 < self.depth <= _MAX_DEPTH and
        min(self.width, self.kernel_size) > 0 and self.kernel_size % 2 == 1,
        f'a depth of 1 to {_MAX_DEPTH}, a width of at least 1, an odd kernel')

  def check(self, config: Any) -> None:
    super().check(config)
    self.require(self.depth > 1 or not config.enters_at('blocks'),
                 'a depth of 2 or more with a condition at blocks')

  def make(self, request: 'models.BlockRequest') -> 'layers.LipschitzLayer':
    size = max(self.width, request.num_channels)
    # Channels of events have a size of about 1, which all `size` share.
    sharpness = _SHARPNESS * math.sqrt(size / request.num_channels)
    first, *rest = (self.make_layer(request, i, size, sharpness)
                    for i in range(self.depth))
    return models.make_sequence(request, [
        first, *conditions.make_parts('blocks', request), *rest,
        *models.make_linear(
            request, self.depth, request.num_channels, is_last=True)])

  def make_layer(
      self, request: 'models.BlockRequest', number: int, num_channels: int,
      sharpness: float) -> 'layers.LipschitzLayer':
    """Returns a residual layer by its number in the block."""
    return layers.SLL(
        self.width, self.kernel_size, num_channels, sharpness,
        request.seed_of(number), name=f'{request.name}_sll_{number}',
        dtype=request.dtype)


@dataclasses.dataclass(frozen=True)
class CPL(SLL):
  """The same of convex potential layers, see `layers.CPL`.

  Args:
    depth: number of residual layers.
    width: their inner channels, and the least number of outer ones.
    kernel_size: of the convolutions in them; the last layer has 1 x 1 kernels.

  References:
    Meunier, Delattre, Araujo, Allauzen, 2022, A Dynamical System Perspective
    for Lipschitz Neural Networks.
  """

  def make_layer(
      self, request: 'models.BlockRequest', number: int, num_channels: int,
      sharpness: float) -> 'layers.LipschitzLayer':
    linear, *_ = models.make_linear(
        request, number, self.width, self.kernel_size, coeff=_CPL_COEFF)
    return layers.CPL(linear, num_channels, sharpness,
                      name=f'{request.name}_cpl_{number}')
