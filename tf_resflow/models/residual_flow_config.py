"""Configuration of the image flow of the paper."""

import dataclasses
import math
from typing import Any

from tf_resflow import layers
from tf_resflow import models
from tf_resflow.models import block_flow_config
from tf_resflow.models import norm_orders
from tf_resflow.specs import fields
from tf_resflow.specs import registries
from tf_resflow.specs import spec


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualFlowConfig(block_flow_config.BlockFlowConfig):
  """Image flow; the defaults are the CIFAR-10 model of the paper.

  Example:
    >>> config = models.ResidualFlowConfig(
    ...     image_shape=(28, 28, 1), num_blocks=(2, 2))
    >>> models.ResidualFlowConfig(image_shape=(9, 9, 1), num_blocks=(2, 2))
    Traceback (most recent call last):
    tf_resflow.errors.InvalidValueError: num_blocks=2,2: expected ...

  References:
    Chen et al., 2019, Residual Flows, Section 5.1 and Appendix E.
  """

  image_shape: tuple[int, ...] = fields.field(
      (32, 32, 3), help='Height, width and channels.', minimum=1, min_length=3,
      is_flag=False)
  num_levels: int = fields.field(
      256, help='Integer levels of a pixel, 256 for 8 bits.', minimum=2,
      changes_function=False, is_flag=False)
  num_blocks: tuple[int, ...] = fields.field(
      (16, 16, 16), help='Number of blocks (of image flows, in each scale).',
      minimum=1, maximum=10_000, min_length=1, is_basic=True)
  hidden_channels: int = fields.field(
      512, help='Hidden layer channels of residual networks.', minimum=1,
      is_basic=True)
  kernel_sizes: tuple[int, ...] = fields.field(
      (3, 1, 3), help='Kernel sizes of residual networks, odd.', minimum=1,
      min_length=2)
  factor_out: bool = fields.field(
      False, help='Factor out half of the channels after each scale.')
  squeeze_first: bool = fields.field(
      False, help='Squeeze (2 x 2 space-to-depth) before the first block.')
  preactivation: bool = fields.field(
      True, help='Start residual networks with an activation.')
  activate_first_block: bool = fields.field(
      False, help='Apply --preactivation to the first block, too.')
  fully_connected: bool = fields.field(
      False, help='Use dense layers instead of convolutions, and ActNorm per '
      'feature.')
  num_dense_blocks: int = fields.field(
      4, help='Number of fully connected blocks after the last scale.',
      minimum=0, maximum=10_000)
  dense_hidden_units: int = fields.field(
      128, help='Hidden layer width of fully connected blocks.', minimum=1)
  num_dense_hidden_layers: int = fields.field(
      2, help='Number of hidden layers of fully connected blocks.', minimum=0)
  feature_act_norm: bool = fields.field(
      False, help='ActNorm with a scale per pixel and channel, not only per '
      'channel.')
  first_act_norm: bool = fields.field(
      True, help='Apply ActNorm before the first block, too.')
  augmentation: str = fields.field(
      'noise_channels', help='Type of noise dimensions, if --noise_channels is '
      'above 0.',
      choices=registries.AUGMENTATIONS)
  noise_channels: int = fields.field(
      0, help='Number of noise channels appended to images; bits/dim are then '
      'upper bounds.', minimum=0)
  noise_distribution: str = fields.field(
      'uniform', help='Distribution of --noise_channels: uniform on [0, 1], or '
      'gaussian:0.125 with mean 1/2 and standard deviation 1/8.',
      choices=registries.NOISE_DISTRIBUTIONS)
  preprocessing: str = fields.field(
      'logit', help='First bijection on images: logit, standardize (requires '
      '--mean and --std) or none.', choices=registries.PREPROCESSORS)
  logit_alpha: float = fields.field(
      0.05, help='alpha of the preprocessing logit(alpha + (1 - 2 alpha) x).',
      above=0, below=0.5)
  mean: tuple[float, ...] = fields.field(
      (), help='Means for --preprocessing=standardize, one per channel (4 per '
      'channel with --squeeze_first).')
  std: tuple[float, ...] = fields.field(
      (), help='Standard deviations, like --mean.', above=0)
  num_classes: int = fields.field(
      0, help='Classes of a hybrid model; 0 for none.', minimum=0,
      is_flag=False)
  head_channels: int = fields.field(
      256, help='Channels of the classifier of hybrid models at each scale.',
      minimum=1)

  def check(self) -> None:
    super().check()
    height, width, channels = self.image_shape
    num_squeezes = len(self.num_blocks) - 1 + int(self.squeeze_first)
    divisor = 2**num_squeezes
    self.require(
        height % divisor == 0 and width % divisor == 0, 'num_blocks',
        f'fewer scales for images of {height} x {width}',
        f'{len(self.num_blocks)} scales need {num_squeezes} squeezes by 2, so '
        f'height and width must be divisible by {divisor}.')
    self.require(
        all(k % 2 for k in self.kernel_sizes), 'kernel_sizes', 'odd numbers')
    sizes = (channels, 4 * channels) if self.squeeze_first else (channels,)
    self.require(
        len(self.mean) in (0, *sizes), 'mean',
        f'one number per channel, {" or ".join(map(str, sizes))}')
    self.require(
        len(self.mean) == len(self.std), 'std', 'as many numbers as mean has')
    augmentation = registries.AUGMENTATIONS.get(
        spec.Spec.parse(self.augmentation, 'augmentation').name)
    self.require_defaults(
        getattr(augmentation, 'unused_fields', ()),
        f'with augmentation={self.augmentation}')
    self.require(self.num_classes != 1, 'num_classes', '0, or at least 2')
    self.require(
        self.num_classes == 0 or not self.factor_out or
        len(self.num_blocks) > 1, 'factor_out',
        problem='cannot be used with a hybrid model of one scale',
        advice='The classifier reads factored-out channels; use more scales.')
    if not self.fully_connected:
      norm_orders.check_length(
          self.norms, len(self.kernel_sizes), 'convolutional blocks')
    if self.fully_connected or self.num_dense_blocks:
      norm_orders.check_length(
          self.norms, self.num_dense_hidden_layers + 1, 'dense blocks')

  @property
  def event_size(self) -> int:
    """Number of dimensions, `D = H W C`."""
    return math.prod(self.image_shape)

  def build(self, dtype: str = 'float32') -> 'models.ResidualFlow':
    """Returns a new `models.ResidualFlow`; see `ModelConfig.build`."""
    return models.ResidualFlow(self, dtype=dtype)


def make_noise_channels(
    config: Any, dtype: str) -> 'layers.Augmentation | None':
  """Returns the augmentation by `config.noise_channels`; None for 0."""
  return layers.NoiseChannels(
      config.noise_channels, config.noise_distribution, name='noise_channels',
      dtype=dtype) if config.noise_channels else None
