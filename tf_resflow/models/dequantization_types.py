"""Types of dequantisation; choosing one does not import TensorFlow."""

from collections.abc import Sequence
import dataclasses
from typing import Any, ClassVar

from tf_resflow import layers
from tf_resflow import models
from tf_resflow.columns import column_types
from tf_resflow.models import block_types
from tf_resflow.specs import registries
from tf_resflow.specs import spec

# Keeps seeds apart from those of the blocks.
_SEED_OFFSET = 1_009
_SEEDS_PER_LAYER = 4
_KERNEL_SIZE = 3


@dataclasses.dataclass(frozen=True)
class DequantizationType(block_types.PartType):
  """What dequantises integers, selected by `--dequantization`.

  See `block_types.PartType`.
  """

  registry: ClassVar = registries.DEQUANTIZATIONS

  def make(
      self, config: Any, event_shape: tuple, columns: Sequence[int],
      dtype: str, scale: Sequence[Any]) -> 'layers.Bijection | None':
    """Returns the bijection of data that maps their noise, or None.

    Args:
      config: a `BlockFlowConfig`.
      event_shape: shape of events, `(H, W, C)` in [0, 1) or `(D,)`.
      columns: indices of the last axis that are integers with noise.
      dtype: of the flow, by name.
      scale: bijections of such data to numbers of size 1.
    """
    raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Uniform(DequantizationType):
  """Noise as it is drawn."""

  def make(self, *unused_args: Any, **unused_kwargs: Any) -> None:
    return None


@dataclasses.dataclass(frozen=True)
class Variational(DequantizationType):
  """Learned noise, see `layers.VariationalDequantization`.

  Its flow has affine coupling blocks with checkerboards on images, residual
  blocks on columns, with settings of their own; a network of two layers makes
  their conditions of all numbers of an example, on images one for each pixel.
  It is not given the condition of a flow p(x|c).

  Args:
    num_blocks: of the flow of the noise.
    channels: width of its networks, and of that of conditions.
  """

  num_blocks: int = 4
  channels: int = spec.option(32, 'channels')

  def check(self, config: Any) -> None:
    super().check(config)
    noun = self.registry.noun
    config.require(
        min(self.num_blocks, self.channels) >= 1, noun,
        'at least one block and one channel')
    types = config.schema.types if config.schema else ()
    config.require(
        config.is_image or any(
            column_types.ColumnType.get(name).is_integer for name in types),
        noun, problem='has no effect without columns of integers')

  def make(
      self, config: Any, event_shape: tuple, columns: Sequence[int],
      dtype: str, scale: Sequence[Any]) -> 'layers.Bijection | None':
    import keras  # It imports TensorFlow, as `base_layer` does.

    from tf_resflow.layers import base_layer
    from tf_resflow.models import blocks

    *positions, size = event_shape
    shape = (*positions, len(columns))
    settings = {
        'seed': config.seed + _SEED_OFFSET, 'condition_size': self.channels,
        'condition_features': self.channels}
    of_noise: Any = models.ResidualFlowConfig(
        image_shape=shape, num_blocks=(1,), block='coupling',
        activation='relu', condition_at=('blocks',), **settings
    ) if positions else models.VectorFlowConfig(
        event_size=len(columns), condition_at=('blocks', 'act_norm'),
        **settings)
    noise = blocks.make_blocks((
        models.BlockRequest(
            of_noise, shape, index, (self.channels,) * 2,
            (_KERNEL_SIZE, 1, _KERNEL_SIZE) if positions else None,
            activate_input=False, dtype=dtype, index_in_scale=index,
            sees_pixels=True, positions=tuple(positions), role='noise',
            is_identity=True)
        for index in range(self.num_blocks)), lambda index: [])
    sizes = ((size, 'silu'), (self.channels, 'tanh'))
    kernel = {'kernel_size': _KERNEL_SIZE, 'padding': 'same'
              } if positions else {}
    network = keras.Sequential([
        (keras.layers.Conv2D if positions else keras.layers.Dense)(
            self.channels, activation=activation, dtype=dtype, **kernel,
            **base_layer.uniform_initializers(
                num_inputs * _KERNEL_SIZE**len(positions),
                (config.seed + _SEED_OFFSET) * 100_003 - (i + 1) *
                _SEEDS_PER_LAYER))
        for i, (num_inputs, activation) in enumerate(sizes)], name='condition')
    return layers.VariationalDequantization(
        layers.SequentialBijection(noise, name='noise', dtype=dtype), network,
        columns, getattr(config, 'num_levels', None) or 1,
        layers.SequentialBijection(scale, name='scale', dtype=dtype),
        name='variational_dequantization', dtype=dtype)
