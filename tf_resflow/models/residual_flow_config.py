"""The configuration of the paper's image flow."""

import dataclasses
import math

from tf_resflow import models
from tf_resflow.models import block_flow_config
from tf_resflow.models import norm_orders
from tf_resflow.specs import fields
from tf_resflow.specs import registries


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResidualFlowConfig(block_flow_config.BlockFlowConfig):
  """The image flow of the paper; the defaults are its CIFAR-10 row.

  `bin/train --help` lists what the fields mean.

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
      (16, 16, 16), help='Blocks per scale.', minimum=1, min_length=1)
  hidden_channels: int = fields.field(
      512, help='Width of the hidden layers of g.', minimum=1)
  kernel_sizes: tuple[int, ...] = fields.field(
      (3, 1, 3), help='Sizes of the convolutions of g, odd.', minimum=1,
      min_length=2)
  factor_out: bool = fields.field(
      False, help='Half of the channels leave after every scale.')
  squeeze_first: bool = fields.field(
      False, help='Space-to-depth before the first block.')
  preactivation: bool = fields.field(True, help='g starts with an activation.')
  activate_first_block: bool = fields.field(
      False, help='--preactivation goes for the very first g, too.')
  fully_connected: bool = fields.field(
      False, help='Dense layers in place of all convolutions; ActNorm is then '
      'per feature.')
  num_dense_blocks: int = fields.field(
      4, help='Fully connected blocks after the last scale.', minimum=0)
  dense_hidden_units: int = fields.field(
      128, help='Width of the hidden layers of dense blocks.', minimum=1)
  num_dense_hidden_layers: int = fields.field(
      2, help='Number of hidden layers of every dense g.', minimum=0)
  feature_act_norm: bool = fields.field(
      False, help='ActNorm per feature (h, w, c) after every block.')
  first_act_norm: bool = fields.field(
      True, help='ActNorm before the first block, too.')
  augmentation: str = fields.field(
      'noise_channels', help='What happens to images before the flow.',
      choices=registries.AUGMENTATIONS)
  noise_channels: int = fields.field(
      0, help='Channels of noise behind those of the images; bits/dim is then '
      'an upper bound.', minimum=0)
  noise_distribution: str = fields.field(
      'uniform', help='Distribution of that noise, on [0, 1]; '
      'gaussian:0.125 has mean 1/2 and standard deviation 1/8.',
      choices=registries.NOISE_DISTRIBUTIONS)
  preprocessing: str = fields.field(
      'logit', help='What happens to images first; standardize takes mean and '
      'std.', choices=registries.PREPROCESSORS)
  logit_alpha: float = fields.field(
      0.05, help='alpha of the logit transform.', above=0, below=0.5)
  mean: tuple[float, ...] = fields.field(
      (), help='Mean per channel, with --squeeze_first also per channel of the '
      'squeezed images.')
  std: tuple[float, ...] = fields.field(
      (), help='Standard deviation, likewise.', above=0)
  num_classes: int = fields.field(
      0, help='Classes of a hybrid model; 0 for none.', minimum=0,
      is_flag=False)
  head_channels: int = fields.field(
      256, help='Features that the classifier takes from every scale.',
      minimum=1)

  def check(self) -> None:
    super().check()
    self.require(
        len(self.image_shape) == 3, 'image_shape', 'height, width and channels')
    height, width, channels = self.image_shape
    num_squeezes = len(self.num_blocks) - 1 + int(self.squeeze_first)
    divisor = 2**num_squeezes
    self.require(
        height % divisor == 0 and width % divisor == 0, 'num_blocks',
        f'fewer scales for images of {height} x {width}',
        f'{len(self.num_blocks)} scales need {num_squeezes} squeezes by 2, so '
        f'that both must be divisible by {divisor}.')
    self.require(
        all(k % 2 for k in self.kernel_sizes), 'kernel_sizes', 'odd numbers')
    sizes = (channels, 4 * channels) if self.squeeze_first else (channels,)
    self.require_lengths(
        ('mean', 'std'), sizes,
        f'one number per channel, {" or ".join(map(str, sizes))}')
    self.require(self.num_classes != 1, 'num_classes', '0, or 2 and more')
    self.require(
        self.num_classes == 0 or not self.factor_out or
        len(self.num_blocks) > 1, 'factor_out',
        'false in a hybrid flow of one scale',
        'The classifier reads what is factored out, which is nothing here.')
    if not self.fully_connected:
      norm_orders.check_length(
          self.norms, len(self.kernel_sizes), 'convolutional blocks')
    if self.fully_connected or self.num_dense_blocks:
      norm_orders.check_length(
          self.norms, self.num_dense_hidden_layers + 1, 'dense blocks')

  @property
  def event_size(self) -> int:
    """Number of dimensions `D = H W C`."""
    return math.prod(self.image_shape)

  def build(self, dtype: str = 'float32') -> 'models.ResidualFlow':
    """Returns a new `models.ResidualFlow`; see `ModelConfig.build`."""
    return models.ResidualFlow(self, dtype=dtype)
