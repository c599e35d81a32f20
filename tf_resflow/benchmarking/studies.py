"""Studies of many measurements: growth of the cost, memory by mode.

Every measurement runs in a process of its own.

For the cost, one setting at a time is varied around a base, and a model of four
costs is fitted to all measurements.
"""

from collections.abc import Callable, Mapping, Sequence
import functools
import json
import signal
import subprocess
import tempfile
from typing import Any, NamedTuple

import numpy as np
from numpy import typing as npt
from scipy import optimize

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.benchmarking import operations
from tf_resflow.configuration import flags as flags_lib
from tf_resflow.configuration import registries

# From a run to what `tasks.measure_training` returns.
MeasureFn = Callable[[configuration.Config], Mapping[str, Any]]


class MeasurementError(errors.ExpectedError):
  """A measuring process failed."""


def measure(command: Sequence[str], tasks: Sequence[str],
            progress_fn: Callable[[str], None] | None = None) -> dict[str, Any]:
  """Runs a command once per task and joins what the processes report.

  A fresh process has neither the traces nor the memory of another task.

  Args:
    command: of a program and its arguments; the process runs `command
      --worker=TASK` and writes one JSON object to the last line of its output.
    tasks: names of the tasks.
    progress_fn: called with the name of a task before it starts.

  Returns:
    A dict with the entries of all objects.

  Raises:
    MeasurementError: if a process fails; it carries its last line of errors.
  """
  values = {}
  for task in tasks:
    if progress_fn is not None:
      progress_fn(task)
    process = subprocess.run(
        [*command, f'--worker={task}'], text=True,
        capture_output=True, check=False)
    if process.returncode:
      reason = (process.stderr.strip().splitlines() or ['no message'])[-1]
      if process.returncode == -signal.SIGKILL:
        reason = ('it was killed, as the system does where memory is short; '
                  'a smaller --batch_size takes less')
      raise MeasurementError(
          f'measuring {task} ended with status {process.returncode}: {reason}')
    values.update(json.loads(process.stdout.splitlines()[-1]))
  return values


def measure_step(
    command: Sequence[str], config: configuration.Config, *, num_repeats: int,
    progress_fn: Callable[[str], None]) -> dict[str, Any]:
  """Measures a training step in a new process.

  Args:
    command: that of the tool `benchmark`, without arguments.
    config: of the run whose step it is.
    num_repeats: timed steps; 0 for the memory of the first one alone.
    progress_fn: called with a line about what is measured.

  Returns:
    What `tasks.measure_training` returned there.

  Raises:
    MeasurementError: if the process fails.
  """
  progress_fn(f'Measuring {describe(config)}, {config.model.memory}, '
              f'{config.model.training_estimator()} ...')
  with tempfile.NamedTemporaryFile('w', suffix='.flags') as file:
    file.write(flags_lib.to_flagfile(config))
    file.flush()
    return measure([
        *command, f'--flagfile={file.name}', '--tasks=train',
        f'--num_repeats={num_repeats}'], ['train'])


def describe(config: configuration.Config) -> str:
  """Returns the sizes of a run's step, for titles and messages."""
  blocks, shape = ['-'.join(map(str, sizes)) for sizes in (
      config.model.num_blocks, config.model.image_shape)]
  return (f'images {shape}, blocks {blocks}, hidden '
          f'{config.model.hidden_channels}, batch '
          f'{config.optimizer.batch_size}')


class Measurement(NamedTuple):
  """One measured training step.

  Attributes:
    seconds: of the step.
    work: its `operations.StepWork`.
  """

  seconds: float
  work: operations.StepWork


class CostModel(NamedTuple):
  """`t = c_step + c_block B (n + 7) + F / rate + E / throughput`.

  `B (n + 7)` counts evaluations of blocks, `F` operations of linear layers, `E`
  entries of hidden layers.

  Attributes:
    seconds_per_step: `c_step`.
    seconds_per_block_evaluation: `c_block`, what launching a block costs.
    seconds_per_operation: `1 / rate`.
    seconds_per_hidden_entry: `1 / throughput`.
  """

  seconds_per_step: float
  seconds_per_block_evaluation: float
  seconds_per_operation: float
  seconds_per_hidden_entry: float

  def seconds(self, work: operations.StepWork) -> float:
    """Returns the time of a step with this work."""
    return float(np.dot([1.0, *work], self))


def fit_costs(measurements: Sequence[Measurement]) -> CostModel:
  """Fits a `CostModel` with non-negative costs, by relative errors.

  Args:
    measurements: at least four.

  Raises:
    InvalidValueError: if there are fewer measurements than costs.
  """
  errors.check(
      len(measurements) >= 4, 'measurements', f'{len(measurements)} of them',
      '4 or more, one for every cost')
  seconds = np.asarray([m.seconds for m in measurements])
  features = np.asarray([[1.0, *m.work] for m in measurements])
  # Columns of very different sizes would stop the solver early.
  scale = features.max(axis=0)
  costs, _ = optimize.nnls(
      features / scale / seconds[:, np.newaxis], np.ones_like(seconds))
  return CostModel(*(float(c) for c in costs / scale))


def exponent(values: npt.ArrayLike, seconds: npt.ArrayLike) -> float:
  """Returns the slope of `log seconds` against `log values`, least squares.

  1 where time is proportional to a setting, 0 where it does not matter.

  Args:
    values: `[k]` positive numbers, `k >= 2`.
    seconds: `[k]`.
  """
  return float(np.polyfit(np.log(values), np.log(seconds), 1)[0])


class CostStudy(NamedTuple):
  """Training steps around a base, one setting varied at a time.

  Attributes:
    sweeps: dict from settings to lists of `(value, Measurement)`.
    cost_model: the `CostModel` fitted to all of them.
    fit_error_max: its largest relative error.
    exponents: dict from settings to slopes in double logarithms.
  """

  sweeps: dict
  cost_model: CostModel
  fit_error_max: float
  exponents: dict

  def report(self) -> dict[str, Any]:
    """Returns what a tool says of it, a dict for JSON."""
    return {
        'cost_model': self.cost_model._asdict(),
        'exponents': self.exponents,
        'fit_error_max': self.fit_error_max,
        'train_step_s': {
            name: {value: m.seconds for value, m in points}
            for name, points in self.sweeps.items()}}


def study_cost(
    config: configuration.Config, measure_fn: MeasureFn, *,
    batch_sizes: Sequence[int], hidden: Sequence[int], blocks: Sequence[int],
    image_sizes: Sequence[int], terms: Sequence[int]) -> CostStudy:
  """Measures how the time of a training step grows.

  Args:
    config: the base.
    measure_fn: measures a training step of a run with a fixed number of terms.
    batch_sizes: values of this setting, likewise the others.
    hidden: widths of the hidden layers.
    blocks: residual blocks per scale.
    image_sizes: heights and widths.
    terms: numbers of series terms; the other settings are varied at 4.
  """
  plan = {
      'batch': [(v, {'batch_size': v}) for v in batch_sizes],
      'hidden width': [(v, {'hidden_channels': v}) for v in hidden],
      'blocks per scale': [
          (v, {'num_blocks': (v,) * len(config.model.num_blocks)})
          for v in blocks],
      'image size': [(v, {'resize': v}) for v in image_sizes],
      'terms n': [(v, {'estimator': f'fixed:{v}'}) for v in terms],
  }
  base = config.replace(estimator='fixed:4')

  @functools.cache  # The base is a point of several sweeps.
  def measured(varied):
    values = measure_fn(varied)
    return Measurement(
        values['train_step_s'], operations.StepWork(**values['work']))

  sweeps = {
      name: [(v, measured(base.replace(**change))) for v, change in points]
      for name, points in plan.items()}
  known = list(dict.fromkeys(
      m for points in sweeps.values() for _, m in points))
  cost_model = fit_costs(known)
  return CostStudy(
      sweeps, cost_model,
      max(abs(cost_model.seconds(m.work) / m.seconds - 1.0) for m in known),
      {name: exponent([v for v, _ in points], [m.seconds for _, m in points])
       for name, points in sweeps.items()})


def study_memory(
    config: configuration.Config, measure_fn: MeasureFn, terms: Sequence[int],
) -> dict[str, dict[int, float]]:
  """Measures the peak memory of a training step in every memory mode.

  Args:
    config: of the run.
    measure_fn: measures a training step of a run with a fixed number of terms.
    terms: numbers of series terms.

  Returns:
    GB, by modes and numbers of terms.
  """
  return {
      mode: {
          n: measure_fn(config.replace(memory=mode, estimator=f'fixed:{n}'))[
              'peak_memory_gb']
          for n in terms}
      for mode in registries.MEMORY_MODES.names()}
