"""Groups of flags that tools share, each with what its flags are for."""

import dataclasses
import os
from typing import Any, ClassVar, NamedTuple

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.commands import options
from tf_resflow.configuration import fields
from tf_resflow.configuration import registries

_SPLITS = ('train', 'validation', 'test')


class OpenedRun(NamedTuple):
  """A run that was opened.

  Attributes:
    config: its configuration.
    model: its `models.Flow`, with the weights of the latest checkpoint.
    step: of that checkpoint.
    strategy: the `tf.distribute.Strategy` in whose scope the model is.
  """

  config: configuration.Config
  model: Any
  step: int
  strategy: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run(options.Options):
  """The run."""

  workdir: str = options.required(help='Folder of the run.')
  averaged: bool = fields.field(
      True, help='Take the averaged weights (EMA) rather than the last ones.')

  def open(self, dtype: str = 'float32', strategy: str = 'single') -> OpenedRun:
    """Opens the run; every tool does it here."""
    config = training.load_config(self.workdir)
    devices = training.make_strategy(strategy)
    with devices.scope():
      model, step = training.load_model(
          self.workdir, averaged=self.averaged, dtype=dtype)
    return OpenedRun(config, model, step, devices)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices(options.Options):
  """Devices and precision."""

  strategy: str = fields.field(
      'auto', help='single, mirrored (all devices share the batches, the '
      'result is that of one), or auto (mirrored where there are several '
      'GPUs).', choices=('auto', 'single', 'mirrored'))
  dtype: str = fields.field(
      'float32', help='Precision of the flow.', choices=('float32', 'float64'))
  batch_size: int = fields.field(
      64, help='Examples per batch and device.', minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split(options.Options):
  """The data."""

  split: str = fields.field(
      'test', help='Part of the data set of the run.', choices=_SPLITS)
  data_dir: str | None = fields.field(
      None, help='Folder of prepared data sets, by default that of the run.')

  def load_split(self, run: OpenedRun) -> 'datasets.ImageSplit':
    """Opens the part of the run's data set."""
    return datasets.load_split(run.config.data, self.split, self.data_dir)

  def check_count(self, name: str, num_examples: int) -> None:
    """Raises `InvalidValueError` if the split has not so many examples."""
    value = getattr(self, name)
    errors.check(
        value is None or value <= num_examples, name, value,
        f'at most {num_examples}',
        f'That many examples are in the {self.split} split.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputFile(options.Options):
  """The file to write."""

  suffixes: ClassVar[tuple[str, ...]]

  output: str | None = fields.field(None, help='File to write.')
  overwrite: bool = fields.field(
      False, help='Replace the file of --output if it exists.')

  def check(self) -> None:
    """Finds out whether the file can be written, before the work for it."""
    super().check()
    path = self.output
    if path is None:
      return
    folder = os.path.dirname(os.path.abspath(path))

    def check(condition, expected, advice=''):
      errors.check(condition, 'output', path, expected, advice)

    check(path.endswith(self.suffixes),
          f'a name that ends in {" or ".join(self.suffixes)}')
    check(os.path.isdir(folder), 'a file in a folder that exists',
          f'There is no folder {folder}.')
    check(not os.path.isdir(path), 'a file', 'It is a folder.')
    check(self.overwrite or not os.path.exists(path), 'a new file',
          'It exists: name another one, or give --overwrite to replace it.')
    check(os.access(path if os.path.exists(path) else folder, os.W_OK),
          'a file that may be written')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimation(options.Options):
  """Log-determinants."""

  estimator: str = fields.field(
      'adaptive:0.02', help='Estimator of the log-determinants: adaptive:0.02 '
      '(unbiased: terms until they are small, then a roulette), '
      'roulette:safe,exact=20 (the protocol of the paper: 20 terms, then a '
      'roulette of finite variance), fixed:10 (10 terms, biased), exact (the '
      'determinant of the full Jacobian, for small events).',
      kinds=registries.ESTIMATORS)

  def make_estimator(self) -> 'numerics.Estimator':
    """Returns the estimator that the flag names."""
    return numerics.Estimator.get(self.estimator)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inversion(options.Options):
  """The inverse."""

  tolerance: float | None = fields.field(
      None, help='Largest residual |x + g(x) - y| of the inverse of a block: '
      '1e-6 by default, 1e-10 in float64.', above=0)
  max_steps: int = fields.field(
      500, help='Most steps of the inverse of a block.', minimum=1)

  def make_solver(self) -> 'numerics.Solver':
    """Returns the solver that the flags describe."""
    return numerics.Anderson(atol=self.tolerance, max_steps=self.max_steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certification(options.Options):
  """Lipschitz bounds."""

  certify: bool | None = fields.field(
      None, help='Compute guaranteed Lipschitz bounds; by default for the '
      'embedded data sets, since it takes minutes for large images.')

  def should_certify(self, config: 'configuration.Config') -> bool:
    """Whether to compute them for a run of this configuration."""
    if self.certify is not None:
      return self.certify
    return datasets.info(config.data.dataset).is_embedded


@dataclasses.dataclass(frozen=True, kw_only=True)
class Randomness(options.Options):
  """Randomness."""

  seed: int = fields.field(
      0, help='The result is a function of it.', minimum=0, maximum=2**31 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Configured(options.Options):
  """What tools derive from that take the configuration of a run as flags.

  Their `main` is called with the options and a `configuration.Config`.
  """

  takes_configuration = True
