"""Frozen configurations of the models."""

import dataclasses
import json

from tf_resflow import layers


def _check(condition, message):
  if not condition:
    raise ValueError(message)


@dataclasses.dataclass(frozen=True)
class ResidualFlowConfig:
  """The image flow of the paper; the defaults are its CIFAR-10 row.

  Attributes:
    image_shape: `(H, W, C)`.
    num_levels: number of integer levels of a pixel, 256 for 8 bits.
    num_blocks: convolutional residual blocks per scale.
    hidden_channels: width of the hidden layers of `g`.
    kernel_sizes: kernel sizes of the convolutions of `g`.
    activation: name of the activation, see `layers.make_activation`.
    lipschitz_coeff: bound of the operator norm of every layer.
    factor_out: whether half of the channels leave after every scale.
    squeeze_first: space-to-depth before the first block.
    num_dense_blocks: fully connected residual blocks after the last scale.
    dense_hidden_units: width of their two hidden layers.
    act_norm: whether every block is followed by ActNorm.
    preprocessing: 'logit' or 'standardize'.
    logit_alpha: `alpha` of the logit transform.
    mean: per channel, for 'standardize'.
    std: per channel, for 'standardize'.
    num_exact_terms: terms of the log-det series before the roulette.
    truncation: law of the remaining number of terms, 'poisson' or 'geometric'.
    truncation_parameter: the rate of Poisson, the `p` of Geometric.
    probe: 'rademacher' or 'gaussian'.
    memory: memory mode of the log-det gradient.
    seed: seed of the initial weights.

  References:
    Chen et al., 2019, Residual Flows, Section 5.1 and Appendix E.
  """

  image_shape: tuple = (32, 32, 3)
  num_levels: int = 256
  num_blocks: tuple = (16, 16, 16)
  hidden_channels: int = 512
  kernel_sizes: tuple = (3, 1, 3)
  activation: str = 'lipswish'
  lipschitz_coeff: float = 0.98
  factor_out: bool = False
  squeeze_first: bool = False
  num_dense_blocks: int = 4
  dense_hidden_units: int = 128
  act_norm: bool = True
  preprocessing: str = 'logit'
  logit_alpha: float = 0.05
  mean: tuple = ()
  std: tuple = ()
  num_exact_terms: int = 2
  truncation: str = 'poisson'
  truncation_parameter: float = 2.0
  probe: str = 'rademacher'
  memory: str = 'recompute'
  seed: int = 0

  def __post_init__(self):
    # Lists (from JSON) become tuples, so that configurations compare equal.
    for field in dataclasses.fields(self):
      value = getattr(self, field.name)
      if isinstance(value, list):
        object.__setattr__(self, field.name, tuple(value))
    _check(
        len(self.image_shape) == 3 and all(s >= 1 for s in self.image_shape),
        f'image_shape is {self.image_shape}; expected (H, W, C).')
    _check(self.num_levels >= 2,
           f'num_levels is {self.num_levels}; it must be 2 or more.')
    _check(
        len(self.num_blocks) >= 1 and all(n >= 1 for n in self.num_blocks),
        f'num_blocks is {self.num_blocks}; expected one positive number per '
        'scale, such as (16, 16, 16).')
    num_squeezes = len(self.num_blocks) - 1 + int(self.squeeze_first)
    divisor = 2**num_squeezes
    height, width = self.image_shape[:2]
    _check(
        height % divisor == 0 and width % divisor == 0,
        f'num_blocks is {self.num_blocks}: its {len(self.num_blocks)} scales '
        f'need {num_squeezes} squeezes by 2, but the image size is {height} x '
        f'{width}; both must be divisible by {divisor}.')
    _check(self.hidden_channels >= 1,
           f'hidden_channels is {self.hidden_channels}; it must be positive.')
    _check(
        len(self.kernel_sizes) >= 1 and
        all(k >= 1 and k % 2 == 1 for k in self.kernel_sizes),
        f'kernel_sizes is {self.kernel_sizes}; expected odd positive numbers.')
    _check(
        self.activation in layers.activation_names(),
        f'activation is {self.activation!r}; expected one of '
        f'{", ".join(layers.activation_names())}.')
    _check(
        0.0 < self.lipschitz_coeff < 1.0,
        f'lipschitz_coeff is {self.lipschitz_coeff}; it must lie strictly '
        'between 0 and 1 for the blocks to be invertible.')
    _check(
        self.num_dense_blocks >= 0,
        f'num_dense_blocks is {self.num_dense_blocks}; it must be 0 or more.')
    _check(
        self.preprocessing in ('logit', 'standardize'),
        f"preprocessing is {self.preprocessing!r}; expected 'logit' or "
        "'standardize'.")
    _check(
        self.truncation in ('poisson', 'geometric'),
        f"truncation is {self.truncation!r}; expected 'poisson' or "
        "'geometric'.")

  @property
  def event_size(self):
    """Number of dimensions `D = H W C`."""
    height, width, channels = self.image_shape
    return height * width * channels

  def to_json(self):
    """Returns the configuration as a JSON string."""
    return json.dumps(dataclasses.asdict(self), indent=2)

  @classmethod
  def from_json(cls, text):
    """Returns the configuration of a string that `to_json` made."""
    return cls(**json.loads(text))


@dataclasses.dataclass(frozen=True)
class VectorFlowConfig:
  """A residual flow on vectors.

  Attributes:
    event_size: `D`.
    num_blocks: number of residual blocks.
    hidden_units: widths of the hidden layers of `g`.
    activation: name of the activation.
    lipschitz_coeff: bound of the spectral norm of every layer.
    act_norm: whether ActNorm stands first and after every block.
    num_exact_terms: terms of the log-det series before the roulette.
    truncation: 'poisson' or 'geometric'.
    truncation_parameter: the rate of Poisson, the `p` of Geometric.
    probe: 'rademacher' or 'gaussian'.
    memory: memory mode of the log-det gradient.
    seed: seed of the initial weights.
  """

  event_size: int = 2
  num_blocks: int = 8
  hidden_units: tuple = (64, 64)
  activation: str = 'lipswish'
  lipschitz_coeff: float = 0.9
  act_norm: bool = True
  num_exact_terms: int = 2
  truncation: str = 'poisson'
  truncation_parameter: float = 2.0
  probe: str = 'rademacher'
  memory: str = 'recompute'
  seed: int = 0

  def __post_init__(self):
    if isinstance(self.hidden_units, list):
      object.__setattr__(self, 'hidden_units', tuple(self.hidden_units))
    _check(self.event_size >= 1,
           f'event_size is {self.event_size}; it must be positive.')
    _check(self.num_blocks >= 1,
           f'num_blocks is {self.num_blocks}; it must be positive.')
    _check(
        self.activation in layers.activation_names(),
        f'activation is {self.activation!r}; expected one of '
        f'{", ".join(layers.activation_names())}.')
    _check(
        0.0 < self.lipschitz_coeff < 1.0,
        f'lipschitz_coeff is {self.lipschitz_coeff}; it must lie strictly '
        'between 0 and 1 for the blocks to be invertible.')
    _check(
        self.truncation in ('poisson', 'geometric'),
        f"truncation is {self.truncation!r}; expected 'poisson' or "
        "'geometric'.")
