"""What tools share: flags, fields of dataclasses in groups, and reports."""

from collections.abc import Collection, Mapping, Sequence
import dataclasses
import functools
import json
import os
import sys
import time
from typing import Any, ClassVar, Self

from absl import flags

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import fields
from tf_resflow.specs import paths
from tf_resflow.specs import registries
from tf_resflow.training import files

# Why flags about estimates are refused.
EXACT = 'cannot be used with a model whose log-determinants are exact'


def required(**rules: Any) -> Any:
  """Returns a `fields.field` that has to be given."""
  return fields.field(dataclasses.MISSING, **rules)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(fields.Section):
  """The flags of a tool, parsed and checked.

  A tool derives its own from the groups that it shares with others. Each class
  is a group of `--help`, under the first line of its docstring; it checks
  its fields in `check`, and has the methods that they are for.

  Attributes:
    arguments: the command line.
    flags_given: names of the flags in it.
    takes_configuration: whether the tool has the flags of a run's configuration
      as well; its `main` then takes a `configuration.Config`, too.
    positional: name of the flag that an argument without a name sets.
    sets_up_training: whether TensorFlow is set up for training on CPUs, see
      `startup.set_up_training`.
    excludes: flags that would be ignored where that of the name is set.
    requires: flags one of which that of the name goes with.

  Example:
    >>> @dataclasses.dataclass(frozen=True, kw_only=True)
    ... class Greeting(Options):
    ...   '''What is said.'''
    ...   text: str = required(help='What to say.')
    ...   num_times: int = fields.field(1, help='How often.', minimum=1)
    >>> Greeting(text='hello').num_times
    1
  """

  takes_configuration: ClassVar[bool] = False
  positional: ClassVar[str] = ''
  sets_up_training: ClassVar[bool] = False
  excludes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
  requires: ClassVar[Mapping[str, tuple[str, ...]]] = {}

  arguments: tuple[str, ...] = fields.field((), is_flag=False)
  flags_given: tuple[str, ...] = fields.field((), is_flag=False)

  @classmethod
  def define(
      cls, flag_values: flags.FlagValues, shows_all: bool = True) -> None:
    """Defines one flag per field, those of the tool before shared ones.

    Of a configuration without `shows_all` those in the short help.
    """
    for field in reversed(cls.flag_fields()):
      flags_lib.define_field({'tool': field}, flag_values)
    if cls.takes_configuration:
      flags_lib.define(flag_values, shows_all)

  @classmethod
  def parse(cls, flag_values: flags.FlagValues,
            arguments: Sequence[str]) -> Self:
    """Returns what the parsed flags of a command line say.

    Raises:
      InvalidValueError: naming a flag whose value is refused or missing.
    """
    values = flags_lib.field_values(cls.flag_fields(), flag_values)
    for field in cls.flag_fields():
      errors.check(
          field.default is not dataclasses.MISSING or values.get(field.name),
          field.flag, problem='is missing', advice=field.help)
    return cls(
        **values, arguments=tuple(arguments),
        flags_given=tuple(f for f in flag_values if flag_values[f].present))

  def make_config(self, flag_values: flags.FlagValues) -> configuration.Config:
    """Returns the configuration that flags say, before TensorFlow is loaded.
    """
    return flags_lib.config(flag_values)

  def check(self) -> None:
    super().check()
    for name, others in self.excludes.items():
      self.refuse(getattr(self, name), others, f'cannot be used with --{name}')
    for name, others in self.requires.items():
      self.refuse(not any(getattr(self, other) for other in others), (name,),
                  'requires ' + ' or '.join(f'--{other}' for other in others))

  def refuse(self, condition: object, names: Collection[str], problem: str,
             advice: str = '') -> None:
    """Raises `InvalidValueError` for given flags that would be ignored.

    Args:
      condition: whether they would be.
      names: of the flags.
      problem: what they do not go with, see `InvalidValueError`.
      advice: what they do go with, a sentence.
    """
    for name in self.flags_given if condition else ():
      errors.check(name not in names, name, problem=problem, advice=advice)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredRun(Options):
  """The run."""

  workdir: str = required(help='Folder of the run.')
  averaged: bool = fields.field(
      True, help='Take the averaged weights (EMA) rather than the last ones.')
  checkpoint: str = fields.field(
      fields.AUTO, help='best (of the lowest validation loss), latest, or '
      'auto: that of all rows if the run has a --refit; otherwise the best if '
      'it keeps it, as those on your own vectors do.',
      choices=('auto', 'best', 'latest'))

  def check(self) -> None:
    """Refuses what does not suit the run, before TensorFlow is imported."""
    super().check()
    _ = self.config  # Or an error.

  @functools.cached_property
  def config(self) -> configuration.Config:
    """The configuration of the run."""
    return files.load_config(self.workdir)

  def open(self, dtype: str = 'float32',
           strategy: str = 'single') -> 'models.Flow':
    """Opens the run: its flow; every tool does it here."""
    return workflow.load(
        self.workdir, config=self.config, dtype=dtype, averaged=self.averaged,
        strategy=training.make_strategy(strategy), checkpoint=self.checkpoint)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Devices(Options):
  """Devices and precision."""

  strategy: str = fields.field(
      'auto', help='single, mirrored (batches are split over all devices, the '
      'result is the same), or auto (mirrored if there are several GPUs).',
      choices=('auto', 'single', 'mirrored'))
  dtype: str = fields.field(
      'float32', help='Precision of the flow.', choices=('float32', 'float64'))
  batch_size: int | None = fields.field(
      None, help='Examples per batch and device: by default 128 images, more '
      'vectors, fewer large images with --estimator=exact.', minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split(Options):
  """The data."""

  split: str = fields.field(
      'test', help='Part of the data set of the run.',
      choices=('train', 'validation', 'test'))
  data_dir: str | None = fields.field(
      None, help='Folder of TensorFlow Datasets, by default that of the run; '
      'for data sets such as cifar10 only.')


@dataclasses.dataclass(frozen=True, kw_only=True)
class FirstExamples(Split):
  """The data."""

  num_examples: int | None = fields.field(
      None, help='Use only the first N examples.', minimum=2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutputFile(Options):
  """The file to write."""

  suffixes: ClassVar[tuple[str, ...]] = ('.npz',)

  output: str | None = fields.field(None, help='File to write.')
  overwrite: bool = fields.field(
      False, help='Replace the file of --output if it exists.')

  def check(self) -> None:
    """Finds out whether the file can be written, before the work for it."""
    super().check()
    if self.output is not None:
      self.check_file('output', self.output, self.suffixes)

  def check_file(
      self, name: str, path: str, suffixes: tuple[str, ...]) -> None:
    """Raises `InvalidValueError` if the file of a flag cannot be written."""
    exists = os.path.exists(path)
    folder = os.path.dirname(os.path.abspath(path))
    paths.check_local(name, path)
    for condition, expected, advice in (
        (path.endswith(suffixes),
         f'a name that ends in {" or ".join(suffixes)}', ''),
        (os.path.isdir(folder), 'a file in a folder that exists',
         f'There is no folder {folder}.'),
        (not os.path.isdir(path), 'a file', 'It is a folder.'),
        (self.overwrite or not exists, 'a new file',
         'It exists: name another one, or give --overwrite to replace it.'),
        (os.access(folder, os.W_OK) and (
            not exists or os.access(path, os.W_OK)),
         'a file that may be written', '')):
      errors.check(condition, name, path, expected, advice)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimation(Options):
  """Log-determinants."""

  estimator: str | None = fields.field(
      None, help='Estimator of the log-determinants. The default is unbiased: '
      'exact up to 64 dimensions, except for dequantised integers, else '
      'adaptive:0.02 (terms until they are small, then Russian roulette). '
      'roulette:safe,exact=20 is the protocol of the paper (20 terms, then '
      'roulette of finite variance), fixed:10 takes 10 terms (biased).',
      choices=registries.ESTIMATORS)

  def make_estimator(self) -> 'numerics.Estimator | None':
    """Returns the estimator that the flag names, if it is given."""
    return numerics.Estimator.get(self.estimator)

  def estimator_for(
      self, flow: 'models.Flow', *, dequantizes: bool = True,
  ) -> 'numerics.Estimator':
    """Returns the estimator that the flag names, or the default of a flow.

    One that would be ignored, since the flow draws nothing, is an error.
    """
    estimator = self.make_estimator()
    self.refuse(
        not flow.is_random and estimator not in (None, numerics.Exact()),
        ('estimator',), EXACT, 'It goes with residual blocks.')
    return estimator or flow.evaluation_estimator(dequantizes=dequantizes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inversion(Options):
  """The inverse."""

  tolerance: float | None = fields.field(
      None, help='Stop inverting a block at this residual |x + g(x) - y|; '
      '1e-6 by default, 1e-10 in float64.', above=0)
  max_steps: int = fields.field(
      500, help='Maximum number of iterations to invert a block.', minimum=1)

  def make_solver(self) -> 'numerics.Solver':
    """Returns the solver that the flags describe."""
    return numerics.Anderson(atol=self.tolerance, max_steps=self.max_steps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Certification(Options):
  """Lipschitz bounds."""

  certify: bool | None = fields.field(
      None, help='Compute guaranteed Lipschitz bounds; by default only for '
      'vectors and small built-in data sets (minutes for large images).')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Randomness(Options):
  """Randomness."""

  seed: int = fields.field(
      0, help='Random seed; it fixes the result.', minimum=0, maximum=2**31 - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation(StoredRun, Estimation, Randomness, OutputFile, Devices):
  """The evaluation."""

  output: str | None = fields.field(
      None, help='Write the results per example to this .npz file, see above.')
  num_repeats: int = fields.field(
      8, help='Repeats of the estimate, for its standard error.', minimum=8)
  num_probes: int = fields.field(
      1, help='Estimates averaged per example and repeat; raise it if '
      'estimator_stderr is too large.', minimum=1)

  def settings(self, flow: 'models.Flow', *, dequantizes: bool = True,
               of_estimates: Sequence[str] = ('num_probes',)) -> dict[str, Any]:
    """Returns `evaluation.EvaluationSettings`, by name; see `estimator_for`.

    The flags `of_estimates` are refused where nothing is estimated.
    """
    estimator = self.estimator_for(flow, dequantizes=dequantizes)
    self.refuse(
        not estimator.is_random, of_estimates,
        f'cannot be used with --estimator={estimator.spec()}'
        if flow.is_random else EXACT, 'It goes with estimates.')
    return {
        'batch_size': self.batch_size, 'num_repeats': self.num_repeats,
        'num_probes': self.num_probes, 'seed': self.seed,
        'estimator': estimator, 'verbose': 1}

  def print(self, results: 'evaluation.Results',
            start: float | None = None) -> None:
    """Writes the output, and prints the report; with a rate since `start`."""
    if self.output is not None:
      results.write(self.output)
    if start is not None:
      results = results.extended(rate(len(results.arrays['log_prob']), start))
    print_report(results.report(), results.table(), *results.notes)


def rate(num_rows: int, start: float) -> dict[str, float]:
  """Returns rows per second since a time of `time.monotonic`, for a report."""
  return {'rows_per_second': round(num_rows / (time.monotonic() - start), 1)}


def note(text: str) -> None:
  """Prints a line for people, on stderr."""
  print(text, file=sys.stderr)


def print_report(report: Mapping[str, Any], *notes: str) -> None:
  """Prints lines for people, and a report as one line of strict JSON on stdout.

  By default the lines are a table of the report. JSON has no NaN and no
  infinity: such a number becomes null.
  """
  for text in notes or [evaluation.results.format_table(report)]:
    note(text)
  strict = json.loads(json.dumps(report), parse_constant=lambda number: None)
  print(json.dumps(strict, allow_nan=False))
