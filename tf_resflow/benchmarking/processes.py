"""Runs every measurement in a process of its own."""

from collections.abc import Callable, Sequence
import json
import subprocess
import tempfile
from typing import Any

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.configuration import flags as flags_lib


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
              f'{config.model.estimator} ...')
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
