"""Builders of blocks, their networks, and the preprocessing of images."""

from collections.abc import Callable, Iterable, Sequence
import functools
import inspect
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

# Initializer seeds of one layer span three integers, see `LinearLayer`; the
# fourth is that of the activation before it.
_SEEDS_PER_LAYER = 4
_ACTIVATION_SEED = 3
_SEEDS_PER_BLOCK = 64
# Initial kernels of last layers of blocks that begin as the identity.
_NEARLY_ZERO = 1e-9
# Seed of the linear map of a block, after those of its networks.
_LINEAR_MAP_SEED = _SEEDS_PER_BLOCK - 1


class BlockRequest(NamedTuple):
  """Properties of a block to build, the input of `models.BlockType.make`.

  `make_network` builds the residual network that the configuration describes.

  Attributes:
    config: a `BlockFlowConfig`: activation, constraint, estimator, ...
    event_shape: shape of the events, `(H, W, C)` or `(D,)`.
    index: index of the block in its flow.
    name: name of the block.
    hidden: widths of the hidden layers of its networks.
    kernel_sizes: kernel sizes of their convolutions, one more than `hidden`;
      None for dense networks, which flatten events.
    activate_input: whether its networks start with an activation.
    dtype: dtype of the block, by name.
    index_in_scale: index of the block in its scale, by which masks alternate.
    sees_pixels: whether its events are preprocessed pixels, squeezed or not:
      those of the first scale, if images are preprocessed.
    flattened_from: shape `(H, W, C)` of the images that its events are the
      flattened values of; None otherwise.
    positions: `(H, W)` if each has a condition of its own, see
      `layers.ConditionShift`; else `()`.
    role: what it is in its flow, for names.
    is_identity: whether the last layers of its networks begin as zero, up to
      1e-9, so that residual blocks begin as the identity.
  """

  config: Any
  event_shape: tuple
  index: Any  # An int. Tuples have a method of this name.
  hidden: tuple
  kernel_sizes: tuple | None
  activate_input: bool
  dtype: str
  index_in_scale: int = 0
  sees_pixels: bool = False
  flattened_from: tuple | None = None
  positions: tuple = ()
  role: str = 'block'
  is_identity: bool = False

  @property
  def name(self) -> str:
    """The name of the block among the layers of its flow."""
    return f'{self.role}_{self.index}'

  @property
  def num_channels(self) -> int:
    """The number of channels of events, or of values for dense networks."""
    return (math.prod(self.event_shape) if self.kernel_sizes is None
            else self.event_shape[-1])

  @property
  def seed(self) -> int:
    """The first seed reserved for its initial weights."""
    return self.config.seed * 100_003 + self.index * _SEEDS_PER_BLOCK

  def seed_of(self, layer: int) -> int:
    """Returns the seed of a linear layer, by its number in the block."""
    return self.seed + layer * _SEEDS_PER_LAYER


def make_activation(
    request: BlockRequest, layer: int) -> layers.LipschitzLayer:
  """Returns the activation before the linear layer of a number in a block.

  It is that of `config.activation`; if it takes a seed, it has one of its own.
  """
  config = request.config
  make = registries.ACTIVATIONS.get(config.activation)
  seed = {'seed': request.seed_of(layer) + _ACTIVATION_SEED
          } if 'seed' in inspect.signature(make).parameters else {}
  activation = make(
      name=f'{request.name}_act_{layer}', dtype=request.dtype, **seed)
  errors.check(
      activation.domain is None or norm_orders.is_spectral(config.norms),
      'activation', config.activation,
      problem=f'cannot be used with norms={spec.text_of(config.norms)}',
      advice='Its Lipschitz constant is known only in l_2.')
  return activation


def make_network(request: BlockRequest) -> layers.LipschitzSequential:
  """Returns the network of `config.network`, which preserves event shapes.

  Example:
    >>> request = models.BlockRequest(
    ...     models.VectorFlowConfig(event_size=3), (3,), index=0, hidden=(8,),
    ...     kernel_sizes=None, activate_input=False, dtype='float32')
    >>> models.make_network(request)(tf.ones([5, 3])).shape
    TensorShape([5, 3])
  """
  return request.config.network_type.make(request)


def make_linear(
    request: BlockRequest, layer: int, num_outputs: int, kernel_size: int = 1,
    is_last: bool = False, **settings: Any) -> list[layers.LipschitzLayer]:
  """Returns the linear layer of a number in a block, of `config.constraint`.

  The shift by a condition follows the first one, of number 0.

  Args:
    request: properties of the block.
    layer: the number.
    num_outputs: of it, or of its channels.
    kernel_size: of a convolution; dense networks have none.
    is_last: whether it is the last one, whose kernel may begin as zero.
    **settings: further arguments of the layer.

  Example:
    >>> request = models.BlockRequest(
    ...     models.VectorFlowConfig(event_size=3), (3,), index=0, hidden=(8,),
    ...     kernel_sizes=None, activate_input=False, dtype='float32')
    >>> models.make_linear(request, 0, 5)
    [SpectralDense(units=5, coeff=0.9)]
  """
  config = request.config
  constraint = registries.CONSTRAINTS.get(config.constraint)
  if callable(constraint):
    constraint = constraint()
  errors.check(
      'domain' not in settings or constraint.takes_orders, 'norms',
      spec.text_of(config.norms),
      problem=f'cannot be used with constraint={config.constraint}',
      advice='Use --norms=2.')
  make, sizes = (
      (constraint.dense, (num_outputs,)) if request.kernel_sizes is None else
      (constraint.conv2d, (num_outputs, kernel_size)))
  errors.check(
      make is not None, 'constraint', config.constraint,
      problem='has no convolutional layers', advice='Use --fully_connected.')
  return [make(*sizes, **{'coeff': config.lipschitz_coeff,
                          **_settings(request, layer, is_last), **settings}),
          *_condition_shift(request, layer)]


def make_plain_network(
    request: BlockRequest, output_shape: tuple | None = None,
    is_constrained: bool = True) -> layers.LipschitzSequential:
  """Returns linear layers with activations between them.

  Activations may change the number of channels.

  Args:
    request: properties of the block.
    output_shape: shape of its output, without the batch; by default that of
      events. Of a convolutional network it differs in the last axis only.
    is_constrained: whether linear layers are those of `config.constraint`, or
      of Keras, initialised like these, as for coupling blocks.

  Example:
    >>> request = models.BlockRequest(
    ...     models.VectorFlowConfig(event_size=3), (3,), index=0, hidden=(8,),
    ...     kernel_sizes=None, activate_input=False, dtype='float32')
    >>> models.make_plain_network(
    ...     request, (6,), is_constrained=False)(tf.ones([5, 3])).shape
    TensorShape([5, 6])
  """
  output = request._replace(event_shape=output_shape or request.event_shape)
  size, sizes = request.num_channels, (*request.hidden, output.num_channels)
  make_layer = _make_constrained if is_constrained else _make_unconstrained
  parts: list[layers.LipschitzLayer] = []
  for i, (width, kernel_size) in enumerate(zip(
      sizes, request.kernel_sizes or [1] * len(sizes), strict=True)):
    if i > 0 or request.activate_input:
      parts.append(make_activation(request, i))
      _, size = parts[-1].compute_output_shape((None, size))
    parts += make_layer(
        request, size, i, width, kernel_size, i + 1 == len(sizes))
    size = width
  return make_sequence(request, parts, output_shape)


def _make_constrained(request, unused_num_inputs, layer, *arguments):
  """Returns what `make_linear` does, with the orders of norms of a layer."""
  config = request.config
  orders = {} if norm_orders.is_spectral(config.norms) else {
      'bound': config.norm_bound, **dict(zip(
          ('domain', 'codomain'), norm_orders.of_layer(config.norms, layer),
          strict=True))}
  return make_linear(request, layer, *arguments, **orders)


def _make_unconstrained(
    request, num_inputs, layer, num_outputs, kernel_size, is_last):
  """Returns the same without a constraint."""
  layer_class, *sizes = (
      (keras.layers.Dense, num_outputs) if request.kernel_sizes is None else
      (functools.partial(keras.layers.Conv2D, padding='same'), num_outputs,
       kernel_size))
  settings = _settings(request, layer, is_last)
  initializers = base_layer.uniform_initializers(
      num_inputs * math.prod(sizes[1:])**2, settings.pop('seed'))
  return [layers.KerasLayer(layer_class(*sizes, **initializers | settings),
                            name=settings['name']),
          *_condition_shift(request, layer)]


def make_sequence(
    request: BlockRequest, parts: Sequence[layers.LipschitzLayer],
    output_shape: tuple | None = None) -> layers.LipschitzSequential:
  """Returns a network of a block, composed of parts.

  Dense parts have flattened events. A condition multiplies their output at
  `gates`.

  Args:
    request: properties of the block.
    parts: Lipschitz layers, the first one applied first.
    output_shape: shape of its output; by default that of events.
  """
  shape = output_shape or request.event_shape
  before, after = (
      [layers.Reshape(target, dtype=request.dtype)] if (
          request.kernel_sizes is None and len(s) > 1) else []
      for s, target in ((request.event_shape, (-1,)), (shape, shape)))
  learns_norms = request.config.norms == (norm_orders.LEARNED,)
  return (layers.LearnedNorms if learns_norms else layers.LipschitzSequential)(
      [*before, *parts, *conditions.make_parts('gates', request), *after],
      name=f'{request.name}_g')


def _condition_shift(request, layer):
  """Returns the shift by a condition behind the first layer, or nothing."""
  return conditions.make_parts('blocks', request) if layer == 0 else []


def _settings(request, layer, is_last):
  """Returns arguments of a linear layer; if last, perhaps nearly zero."""
  kind = 'dense' if request.kernel_sizes is None else 'conv'
  seed = request.seed_of(layer)
  return {'name': f'{request.name}_{kind}_{layer}', 'dtype': request.dtype,
          'seed': seed, **(_nearly_zero(seed) if (
              is_last and request.is_identity) else {})}


def _nearly_zero(seed):
  """Returns initializers: at 0 bounds of norms have no derivative."""
  return {'bias_initializer': 'zeros',
          'kernel_initializer': keras.initializers.RandomUniform(
              -_NEARLY_ZERO, _NEARLY_ZERO, seed)}


def make_residual_block(
    request: BlockRequest,
    block_class: Callable[..., layers.Bijection] = layers.ResidualBlock,
) -> layers.Bijection:
  """Returns a residual block, or a block of another class with a network `g`.

  The class takes the arguments of `layers.ResidualBlock`.
  """
  return block_class(
      make_network(request), estimator=request.config.training_estimator(),
      memory=request.config.memory, uncertified=request.config.uncertified,
      name=request.name, dtype=request.dtype)


def make_blocks(
    requests: Iterable[BlockRequest], make_act_norms: Callable,
) -> list[layers.Bijection]:
  """Returns blocks of type `config.block` with the bijections around each.

  These are linear maps (`config.invertible_linear`), normalisation layers, and
  conditional layers (`config.condition_at`).

  Args:
    requests: properties of the blocks, in order.
    make_act_norms: maps the index of a block to the `ActNorm`s after it.
  """
  return [part for request in requests
          for part in _with_neighbours(request, make_act_norms)]


def _with_neighbours(request, make_act_norms):
  config, parts = request.config, conditions.make_parts('linear', request)
  # As in the authors' code, none before dense blocks on flattened images.
  if config.invertible_linear != fields.NONE and request.flattened_from is None:
    layer_class = (layers.InvertibleLinear if request.kernel_sizes is None
                   else layers.InvertibleConv1x1)
    parts.append(layer_class(
        config.invertible_linear, seed=request.seed + _LINEAR_MAP_SEED,
        name=f'{request.name}_linear', dtype=request.dtype))
  parts.append(config.block_type.make(request))
  if config.moving_mean:
    parts.append(layers.MovingMean(
        name=f'moving_mean_{request.index}', dtype=request.dtype))
  return [*parts, *make_act_norms(request.index),
          *conditions.make_parts('act_norm', request)]


def make_logit(config: Any, dtype: str) -> layers.Bijection:
  """Returns the logit transform of `config.logit_alpha`."""
  return layers.Logit(config.logit_alpha, name='logit', dtype=dtype)


def make_standardize(config: Any, dtype: str) -> layers.Bijection:
  """Returns the standardisation by `config.mean` and `config.std`.

  Noise channels use the mean and standard deviation of their distribution.
  """
  errors.check(
      bool(config.mean), 'preprocessing', config.preprocessing,
      problem='requires mean and std',
      advice='Give one number per channel for each.')
  distribution = numerics.NoiseDistribution.get(config.noise_distribution)
  # A squeeze makes several channels of each.
  num_noisy = config.noise_channels * (
      len(config.mean) // config.image_shape[-1])
  return layers.Standardize(
      config.mean + (distribution.mean,) * num_noisy,
      config.std + (distribution.stddev,) * num_noisy, name='standardize',
      dtype=dtype)


def make_identity(unused_config: Any, dtype: str) -> layers.Bijection:
  """Returns the identity."""
  return layers.SequentialBijection([], name='none', dtype=dtype)
