"""Frozen configurations of the models."""

import dataclasses
import json
import math

from tf_resflow import layers
from tf_resflow import numerics


def _check(condition, message):
  if not condition:
    raise ValueError(message)


def _make_tuples(config):
  """Turns lists (from JSON) into tuples, so that configurations compare."""
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    if isinstance(value, list):
      object.__setattr__(config, field.name, tuple(value))
    elif isinstance(field.default, tuple):
      _check(
          isinstance(value, tuple),
          f'{field.name} is {value!r}; expected a tuple, such as '
          f'{field.default or (0.5, 0.5, 0.5)}.')


def _check_blocks(config):
  """Checks what all residual blocks have in common."""
  _check(
      config.activation in layers.activation_names(),
      f'activation is {config.activation!r}; expected one of '
      f'{", ".join(layers.activation_names())}.')
  _check(
      0.0 < config.lipschitz_coeff < 1.0,
      f'lipschitz_coeff is {config.lipschitz_coeff}; it must lie strictly '
      'between 0 and 1 for the blocks to be invertible.')
  _check(
      config.num_exact_terms >= 0,
      f'num_exact_terms is {config.num_exact_terms}; it must be 0 or more.')
  _check(
      config.truncation in ('poisson', 'geometric'),
      f"truncation is {config.truncation!r}; expected 'poisson' or "
      "'geometric'.")
  largest = 1.0 if config.truncation == 'geometric' else math.inf
  _check(
      0.0 < config.truncation_parameter < largest,
      f'truncation_parameter is {config.truncation_parameter}; the rate of '
      "'poisson' must be positive and finite, the p of 'geometric' between 0 "
      'and 1.')
  _check(
      config.probe in ('rademacher', 'gaussian'),
      f"probe is {config.probe!r}; expected 'rademacher' or 'gaussian'.")
  _check(
      config.memory in numerics.MEMORY_MODES,
      f'memory is {config.memory!r}; expected one of '
      f'{", ".join(numerics.MEMORY_MODES)}.')


@dataclasses.dataclass(frozen=True)
class ResidualFlowConfig:
  """The image flow of the paper; the defaults are its CIFAR-10 row.

  Attributes:
    image_shape: `(H, W, C)`.
    num_levels: number of integer levels of a pixel, 256 for 8 bits.
    num_blocks: convolutional residual blocks per scale.
    hidden_channels: width of the hidden layers of `g`.
    kernel_sizes: kernel sizes of the convolutions of `g`, two or more.
    activation: name of the activation, see `layers.make_activation`.
    lipschitz_coeff: bound of the operator norm of every layer.
    factor_out: whether half of the channels leave after every scale.
    squeeze_first: space-to-depth before the first block.
    preactivation: whether `g` starts with an activation.
    activate_first_block: whether that holds for the very first block as well.
    fully_connected: dense layers of width `hidden_channels` in place of the
      convolutions; ActNorm is then per feature.
    num_dense_blocks: fully connected residual blocks after the last scale.
    dense_hidden_units: width of their hidden layers.
    num_dense_hidden_layers: number of hidden layers of every dense `g`.
    act_norm: whether every block is followed by ActNorm.
    feature_act_norm: whether every block is followed by an ActNorm with one
      bias and scale per feature `(h, w, c)`.
    first_act_norm: whether the ActNorms that follow blocks also stand before
      the first one.
    preprocessing: 'logit', 'standardize' or 'none'.
    logit_alpha: `alpha` of the logit transform.
    mean: for 'standardize', per channel of the images; with `squeeze_first`
      also per channel of the squeezed images.
    std: likewise.
    num_classes: classes of a hybrid model's classifier; 0 for none.
    head_channels: features that the classifier takes from every scale.
    num_exact_terms: terms of the log-det series before the roulette.
    truncation: law of the remaining number of terms, 'poisson' or 'geometric'.
    truncation_parameter: the rate of Poisson, the `p` of Geometric.
    probe: 'rademacher' or 'gaussian'.
    memory: memory mode of the log-det gradient.
    seed: seed of the initial weights.

  Example:
    >>> config = models.ResidualFlowConfig(
    ...     image_shape=(28, 28, 1), num_blocks=(2, 2))
    >>> models.ResidualFlowConfig(image_shape=(9, 9, 1), num_blocks=(2, 2))
    Traceback (most recent call last):
    ValueError: num_blocks is (2, 2): its 2 scales need 1 squeezes by 2, ...

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
  preactivation: bool = True
  activate_first_block: bool = False
  fully_connected: bool = False
  num_dense_blocks: int = 4
  dense_hidden_units: int = 128
  num_dense_hidden_layers: int = 2
  act_norm: bool = True
  feature_act_norm: bool = False
  first_act_norm: bool = True
  preprocessing: str = 'logit'
  logit_alpha: float = 0.05
  mean: tuple = ()
  std: tuple = ()
  num_classes: int = 0
  head_channels: int = 256
  num_exact_terms: int = 2
  truncation: str = 'poisson'
  truncation_parameter: float = 2.0
  probe: str = 'rademacher'
  memory: str = 'recompute'
  seed: int = 0

  def __post_init__(self):
    _make_tuples(self)
    _check_blocks(self)
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
        len(self.kernel_sizes) >= 2 and
        all(k >= 1 and k % 2 == 1 for k in self.kernel_sizes),
        f'kernel_sizes is {self.kernel_sizes}; expected two or more odd '
        'positive numbers.')
    _check(
        self.num_dense_blocks >= 0,
        f'num_dense_blocks is {self.num_dense_blocks}; it must be 0 or more.')
    _check(
        self.dense_hidden_units >= 1,
        f'dense_hidden_units is {self.dense_hidden_units}; it must be '
        'positive.')
    _check(
        self.num_dense_hidden_layers >= 0,
        f'num_dense_hidden_layers is {self.num_dense_hidden_layers}; it must '
        'be 0 or more.')
    self._check_preprocessing()
    _check(self.num_classes == 0 or self.num_classes >= 2,
           f'num_classes is {self.num_classes}; it must be 0 or at least 2.')
    _check(self.head_channels >= 1,
           f'head_channels is {self.head_channels}; it must be positive.')
    _check(
        self.num_classes == 0 or not self.factor_out or
        len(self.num_blocks) > 1,
        f'num_classes is {self.num_classes} with factor_out and one scale: '
        'the classifier reads what is factored out, which is nothing here.')

  def _check_preprocessing(self):
    _check(
        self.preprocessing in ('logit', 'standardize', 'none'),
        f"preprocessing is {self.preprocessing!r}; expected 'logit', "
        "'standardize' or 'none'.")
    _check(
        0.0 < self.logit_alpha < 0.5,
        f'logit_alpha is {self.logit_alpha}; it must lie strictly between 0 '
        'and 1/2.')
    channels = self.image_shape[-1]
    sizes = (channels, 4 * channels) if self.squeeze_first else (channels,)
    _check(
        self.preprocessing != 'standardize' or
        len(self.mean) == len(self.std) and len(self.std) in sizes and
        all(s > 0 for s in self.std),
        f"preprocessing is 'standardize' with mean {self.mean} and std "
        f'{self.std}; it needs {" or ".join(map(str, sizes))} numbers each, '
        'one per channel, std positive.')

  @property
  def event_size(self):
    """Number of dimensions `D = H W C`."""
    height, width, channels = self.image_shape
    return height * width * channels

  def is_same_function(self, other):
    """Whether models of two configurations compute alike with equal weights.

    They may differ in how log-determinants are estimated, in the initial
    weights, and in the number of levels, which `bits_per_dim` alone uses.

    Args:
      other: a `ResidualFlowConfig`.
    """
    ignored = {
        name: getattr(self, name) for name in (
            'num_exact_terms', 'truncation', 'truncation_parameter', 'probe',
            'memory', 'seed', 'num_levels')}
    return dataclasses.replace(other, **ignored) == self

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

  Example:
    >>> config = models.VectorFlowConfig(event_size=4, hidden_units=(32,))
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
    _make_tuples(self)
    _check_blocks(self)
    _check(self.event_size >= 1,
           f'event_size is {self.event_size}; it must be positive.')
    _check(self.num_blocks >= 1,
           f'num_blocks is {self.num_blocks}; it must be positive.')
    _check(
        all(n >= 1 for n in self.hidden_units),
        f'hidden_units is {self.hidden_units}; expected positive numbers.')
