"""The blocks that flows stack, their networks, and what images pass first."""

from collections.abc import Callable, Iterable
import functools
import math
from typing import Any, NamedTuple

import keras

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.models import conditions
from tf_resflow.models import norm_orders
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import spec

# Initializer seeds of one layer span three integers, see `SpectralLayer`.
_SEEDS_PER_LAYER = 4
_SEEDS_PER_BLOCK = 64
# That of a linear map, behind those of the networks of its block.
_LINEAR_MAP_SEED = _SEEDS_PER_BLOCK - 1


class BlockRequest(NamedTuple):
  """What a flow asks a type of blocks for, see `models.BlockType`.

  `make_network` makes networks as the flags describe them.

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
    place: number of the block in its scale, where blocks take turns.
    sees_pixels: whether its events are preprocessed pixels, squeezed or not:
      those of the first scale, where images are preprocessed.
    flattened_from: the shape `(H, W, C)` of images whose flattened values its
      events are; None elsewhere.
  """

  config: Any
  event_shape: tuple
  index: int
  hidden: tuple
  kernel_sizes: tuple | None
  activate_input: bool
  dtype: str
  place: int = 0
  sees_pixels: bool = False
  flattened_from: tuple | None = None

  @property
  def name(self) -> str:
    """The name of the block among the layers of its flow."""
    return f'block_{self.index}'

  @property
  def seed(self) -> int:
    """The first of the seeds that its initial weights may take."""
    return self.config.seed * 100_003 + self.index * _SEEDS_PER_BLOCK


def make_network(request: BlockRequest) -> layers.LipschitzSequential:
  """Returns a network that maps events to events of the same shape.

  Linear layers of `config.constraint`, with activations between them. An
  activation may change the number of channels; the next layer takes what comes.

  Args:
    request: what the flow asked for.

  Example:
    >>> request = models.BlockRequest(
    ...     models.VectorFlowConfig(event_size=3), (3,), index=0, hidden=(8,),
    ...     kernel_sizes=None, activate_input=False, dtype='float32')
    >>> models.make_network(request)(tf.ones([5, 3])).shape
    TensorShape([5, 3])
  """
  config = request.config
  constraint = registries.CONSTRAINTS.get(config.constraint)
  if callable(constraint):
    constraint = constraint()
  kind = (constraint.dense if request.kernel_sizes is None
          else constraint.conv2d)
  errors.check(
      kind is not None, 'constraint', config.constraint,
      'one with convolutions', 'Give --fully_connected.')
  orders = iter(norm_orders.of_layers(config.norms, len(request.hidden) + 1))
  in_l2 = norm_orders.is_spectral(config.norms)
  errors.check(
      in_l2 or constraint.takes_orders, 'norms',
      spec.text_of(config.norms), f'2 with constraint={config.constraint}',
      'It has no orders.')

  def make_linear(*sizes, num_inputs, **settings):
    if not in_l2:
      settings['domain'], settings['codomain'] = next(orders)
      settings['bound'] = config.norm_bound
    return kind(*sizes, coeff=config.lipschitz_coeff, **settings)

  return _make_sequence(
      request, request.event_shape, request.event_shape, make_linear,
      layers.LearnedNorms if config.norms == (norm_orders.LEARNED,)
      else layers.LipschitzSequential, in_l2,
      conditions.make_parts('gates', request))


def make_unconstrained_network(
    request: BlockRequest, input_shape: tuple, output_shape: tuple,
) -> layers.LipschitzSequential:
  """Returns a network like that of `make_network`, of plain layers.

  They start as the constrained ones do.

  Args:
    request: what the flow asked for.
    input_shape: of the events that it maps.
    output_shape: of what it returns; that of the input but for the last axis,
      unless it is dense.

  Example:
    >>> request = models.BlockRequest(
    ...     models.VectorFlowConfig(event_size=3), (3,), index=0, hidden=(8,),
    ...     kernel_sizes=None, activate_input=False, dtype='float32')
    >>> models.make_unconstrained_network(
    ...     request, (3,), (6,))(tf.ones([5, 3])).shape
    TensorShape([5, 6])
  """

  def make_linear(*sizes, num_inputs, seed, **settings):
    kind = (keras.layers.Dense if request.kernel_sizes is None else
            functools.partial(keras.layers.Conv2D, padding='same'))
    fan_in = num_inputs * math.prod(sizes[1:])**2
    return layers.KerasLayer(kind(
        *sizes, **base_layer.uniform_initializers(fan_in, seed),
        **settings), name=settings['name'])

  return _make_sequence(request, input_shape, output_shape, make_linear)


def _make_sequence(request, input_shape, output_shape, make_linear,
                   kind_of_sequence=layers.LipschitzSequential, in_l2=True,
                   last=()):
  """Returns linear layers, activations between them, and `last` behind all.

  Args:
    make_linear: called with the sizes of a layer (outputs, and the kernel of a
      convolution), `num_inputs=`, `seed=`, `name=` and `dtype=`.
    in_l2: whether activations need no constant but that in l_2.
  """
  config, dtype = request.config, request.dtype
  make_activation = registries.ACTIVATIONS.get(config.activation)
  if request.kernel_sizes is None:
    kind, size = 'dense', math.prod(input_shape)
    arguments = [(width,) for width in (
        *request.hidden, math.prod(output_shape))]
  else:
    kind, size = 'conv', input_shape[-1]
    arguments = zip(
        (*request.hidden, output_shape[-1]), request.kernel_sizes, strict=True)
  parts = []
  for i, sizes in enumerate(arguments):
    if i > 0 or request.activate_input:
      parts.append(make_activation(
          name=f'{request.name}_act_{i}', dtype=dtype))
      errors.check(
          in_l2 or parts[-1].domain is None, 'activation', config.activation,
          f'another one with norms={spec.text_of(config.norms)}',
          'Its Lipschitz constant is known in l_2 alone.')
      _, size = parts[-1].compute_output_shape((None, size))
    parts.append(make_linear(
        *sizes, num_inputs=size, name=f'{request.name}_{kind}_{i}', dtype=dtype,
        seed=request.seed + i * _SEEDS_PER_LAYER))
    size = sizes[0]
    if i == 0:
      parts += conditions.make_parts('blocks', request)
  parts += last
  if request.kernel_sizes is None:
    if len(input_shape) > 1:
      parts.insert(0, layers.Reshape((-1,), dtype=dtype))
    if len(output_shape) > 1:
      parts.append(layers.Reshape(output_shape, dtype=dtype))
  return kind_of_sequence(parts, name=f'{request.name}_g')


def make_residual_block(
    request: BlockRequest, kind: type = layers.ResidualBlock,
) -> layers.Bijection:
  """Returns the residual block of the paper, or another kind of a `g`.

  Args:
    request: what the flow asked for.
    kind: a class with the arguments of `layers.ResidualBlock`.

  Example:
    >>> request = models.BlockRequest(
    ...     models.VectorFlowConfig(event_size=3), (3,), index=0, hidden=(8,),
    ...     kernel_sizes=None, activate_input=False, dtype='float32')
    >>> models.make_residual_block(request).name
    'block_0'
  """
  return kind(
      make_network(request), estimator=request.config.training_estimator(),
      memory=request.config.memory, uncertified=request.config.uncertified,
      name=request.name, dtype=request.dtype)


def make_blocks(
    requests: Iterable[BlockRequest], make_norms: Callable,
) -> list[layers.Bijection]:
  """Returns blocks of the kind `config.block`, and what is around each.

  That is a linear map of `config.invertible_linear` before it, and what a
  condition chooses.

  Args:
    requests: what the flow asks for, block by block.
    make_norms: from the index of a block to a list of bijections behind it.
  """
  return [
      part for request in requests for part in (
          *conditions.make_parts('linear', request),
          *_make_linear_maps(request),
          request.config.block_type.make(request),
          *make_norms(request.index),
          *conditions.make_parts('act_norm', request))]


def _make_linear_maps(request: BlockRequest) -> list[layers.Bijection]:
  """Returns the linear map before a block, if there is one.

  Convolutions for images, matrices where everything is dense. The blocks on
  flattened images at the end of a flow have none, as in the authors' code.
  """
  parameterization = request.config.invertible_linear
  if parameterization == fields.NONE or request.flattened_from is not None:
    return []
  kind = (layers.InvertibleLinear if request.kernel_sizes is None
          else layers.InvertibleConv1x1)
  return [kind(
      parameterization, seed=request.seed + _LINEAR_MAP_SEED,
      name=f'{request.name}_linear', dtype=request.dtype)]


def make_moving_mean(
    config: Any, name: Any, dtype: str) -> list[layers.Bijection]:
  """Returns the moving mean behind a block, if `config.moving_mean`."""
  return [layers.MovingMean(name=f'moving_mean_{name}', dtype=dtype)
          ] if config.moving_mean else []


def make_noise_channels(config: Any, dtype: str) -> layers.Augmentation | None:
  """Returns `config.noise_channels` of them; None, for the images alone, of 0.
  """
  return layers.NoiseChannels(
      config.noise_channels, config.noise_distribution, name='noise_channels',
      dtype=dtype) if config.noise_channels else None


def make_logit(config: Any, dtype: str) -> layers.Bijection:
  """Returns the logit transform of `config.logit_alpha`."""
  return layers.Logit(config.logit_alpha, name='logit', dtype=dtype)


def make_standardize(config: Any, dtype: str) -> layers.Bijection:
  """Returns the standardisation by `config.mean` and `config.std`.

  Noise channels have the mean and the deviation of their distribution.
  """
  errors.check(
      bool(config.mean), 'mean', '', 'one number per channel',
      'Give it and std, which the images are standardised by.')
  distribution = numerics.NoiseDistribution.get(config.noise_distribution)
  # Squeezed, every channel is several.
  num_noisy = config.noise_channels * (
      len(config.mean) // config.image_shape[-1])
  return layers.Standardize(
      config.mean + (distribution.mean,) * num_noisy,
      config.std + (distribution.stddev,) * num_noisy, name='standardize',
      dtype=dtype)


def make_identity(unused_config: Any, dtype: str) -> layers.Bijection:
  """Returns the identity."""
  return layers.SequentialBijection([], name='none', dtype=dtype)
