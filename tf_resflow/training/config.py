"""The configuration of a training run."""

import dataclasses
import math

from tf_resflow import datasets
from tf_resflow import models

STRATEGIES = ('auto', 'single', 'mirrored')
SCHEDULES = ('constant', 'cosine')

# What may differ between the start of a run and its continuation: nothing here
# changes what a step computes, except for rounding, the length of a
# constant-rate run, and the stream of Gaussian probes under jit_compile.
RESUMABLE_CHANGES = (
    'data_dir', 'num_steps', 'checkpoint_every', 'checkpoints_to_keep',
    'log_every', 'sample_every', 'evaluate_every', 'strategy', 'jit_compile',
    'memory')


def _check(condition, message):
  if not condition:
    raise ValueError(message)


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
  """Everything that determines a run; each field is a flag of bin/train.

  The defaults are the paper's CIFAR-10 row. Field names in messages are those
  of the flags.

  References:
    Chen et al., 2019, Residual Flows, Appendix E.
  """

  dataset: str = 'digits'
  data_dir: str | None = None
  num_bits: int = 8
  image_size: int | None = None
  resize: int | None = None
  num_validation: int = 0
  flip: bool = False
  # The model, see models.ResidualFlowConfig.
  num_blocks: tuple[int, ...] = (16, 16, 16)
  hidden_channels: int = 512
  kernel_sizes: tuple[int, ...] = (3, 1, 3)
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
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  hybrid: bool = False
  head_channels: int = 256
  nll_weight: float = 1.0
  num_exact_terms: int = 2
  truncation: str = 'poisson'
  truncation_parameter: float = 2.0
  probe: str = 'rademacher'
  memory: str = 'recompute'
  # Optimisation.
  num_steps: int = 1000
  batch_size: int = 64
  accumulation_steps: int = 1
  learning_rate: float = 1e-3
  warmup_steps: int = 1000
  schedule: str = 'constant'
  beta_2: float = 0.99
  epsilon: float = 1e-8
  weight_decay: float = 0.0
  clip_norm: float = 1.0
  ema_decay: float = 0.999
  seed: int = 0
  # The run.
  strategy: str = 'auto'
  jit_compile: bool = False
  checkpoint_every: int = 1000
  checkpoints_to_keep: int = 3
  log_every: int = 50
  sample_every: int = 1000
  evaluate_every: int = 0

  def __post_init__(self):
    for field in dataclasses.fields(self):
      if isinstance(getattr(self, field.name), list):
        object.__setattr__(
            self, field.name, tuple(getattr(self, field.name)))
    for name in ('num_steps', 'batch_size', 'accumulation_steps', 'log_every',
                 'checkpoint_every', 'checkpoints_to_keep'):
      _check(getattr(self, name) >= 1,
             f'{name} is {getattr(self, name)}; it must be 1 or more.')
    for name in ('num_validation', 'warmup_steps', 'sample_every',
                 'evaluate_every', 'seed'):
      _check(getattr(self, name) >= 0,
             f'{name} is {getattr(self, name)}; it must be 0 or more.')
    _check(self.seed < 2**31, f'seed is {self.seed}; it must be below 2^31.')
    for name in ('learning_rate', 'clip_norm', 'epsilon'):
      _check(0 < getattr(self, name) < math.inf,
             f'{name} is {getattr(self, name)}; it must be positive and '
             'finite.')
    for name in ('weight_decay', 'nll_weight'):
      _check(0 <= getattr(self, name) < math.inf,
             f'{name} is {getattr(self, name)}; it must be 0 or more.')
    for name in ('ema_decay', 'beta_2'):
      _check(0.0 <= getattr(self, name) < 1.0,
             f'{name} is {getattr(self, name)}; it must lie in [0, 1).')
    _check(self.strategy in STRATEGIES,
           f'strategy is {self.strategy!r}; expected one of '
           f'{", ".join(STRATEGIES)}.')
    _check(self.schedule in SCHEDULES,
           f'schedule is {self.schedule!r}; expected one of '
           f'{", ".join(SCHEDULES)}.')
    _check(
        self.dataset in datasets.names(),
        f'dataset is {self.dataset!r}; expected one of '
        f'{", ".join(datasets.names())}.')
    _check(
        self.evaluate_every == 0 or self.num_validation > 0,
        f'evaluate_every is {self.evaluate_every} but num_validation is 0; '
        'evaluation during training uses a validation part, set '
        'num_validation.')
    self.model_config()  # Checks the rest.

  def model_config(self):
    """Returns the `models.ResidualFlowConfig` of the run."""
    info = datasets.info(self.dataset)
    _check(
        self.resize is None or self.resize >= 1,
        f'resize is {self.resize}; it must be 1 or more.')
    height, width, channels = info.image_shape
    if self.resize is not None:
      height = width = self.resize
    _check(
        self.image_size is None or
        (self.image_size, self.image_size) == (height, width),
        f'image_size is {self.image_size}, but the images of {self.dataset} '
        f'are {height} x {width}; leave the flag out or give that size.')
    _check(
        not self.hybrid or info.num_classes > 0,
        f'hybrid is set, but {self.dataset} has no labels.')
    num_levels = info.num_levels
    if self.num_bits != 8:
      _check(
          num_levels == 256 and 1 <= self.num_bits < 8,
          f'num_bits is {self.num_bits}; {self.dataset} has {num_levels} '
          'levels, and only 256 levels can be reduced, to 1 to 8 bits.')
      num_levels = 2**self.num_bits
    names = {f.name for f in dataclasses.fields(models.ResidualFlowConfig)}
    own = {
        f.name: getattr(self, f.name)
        for f in dataclasses.fields(self) if f.name in names
    }
    return models.ResidualFlowConfig(
        image_shape=(height, width, channels), num_levels=num_levels,
        num_classes=info.num_classes if self.hybrid else 0, **own)

  def load_split(self, split, data_dir=None):
    """Opens a part of the run's data set.

    Args:
      split: 'train', 'validation' or 'test'.
      data_dir: folder of prepared data, that of the configuration by default.

    Returns:
      A `datasets.ImageSplit`.
    """
    return datasets.load(
        self.dataset, split, data_dir=data_dir or self.data_dir,
        num_bits=self.num_bits, num_validation=self.num_validation,
        resize=self.resize)

  def differences(self, other):
    """Returns the names of fields that forbid continuing `other`'s run."""
    allowed = set(RESUMABLE_CHANGES)
    if self.schedule == 'cosine':
      allowed.discard('num_steps')  # The rate depends on the length.
    if 'naive' in (self.memory, other.memory):
      allowed.discard('memory')  # Another estimate of the gradient.
    return [
        f.name for f in dataclasses.fields(self)
        if f.name not in allowed and
        getattr(self, f.name) != getattr(other, f.name)
    ]
