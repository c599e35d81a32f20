"""Measurements in separate processes, their tables, and advice on a run."""

from collections.abc import Mapping, Sequence
import json
import os
import signal
import subprocess
import tempfile
from typing import Any

from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.specs import registries

# Measurements that are compared with a baseline.
_COMPARED = (
    'first_step_s', 'train_step_s', 'evaluate_s', 'sample_s',
    'peak_memory_gb', 'evaluate_std_nats')
_LEAST_MEMORY = registries.AGREEING_MEMORY_MODES[0]


class MeasurementError(errors.ExpectedError):
  """A measuring process failed."""


def measure(command: Sequence[str], task: str) -> dict[str, Any]:
  """Runs a command for a task, and returns the report of the process.

  A fresh process has neither the traces nor the memory of another task.

  Args:
    command: a program and its arguments; the process runs `command
      --worker=TASK` and writes one JSON object to the last line of its output.
    task: name of the task.

  Raises:
    MeasurementError: if the process fails, with its last line of errors.
  """
  process = subprocess.run(
      [*command, f'--worker={task}'], text=True, capture_output=True,
      check=False)
  if process.returncode:
    reason = (process.stderr.strip().splitlines() or ['no message'])[-1]
    if process.returncode == -signal.SIGKILL:
      reason = ('it was killed, probably because memory ran out; use a '
                'smaller --batch_size')
    raise MeasurementError(
        f'measuring {task} ended with status {process.returncode}: {reason}')
  return json.loads(process.stdout.splitlines()[-1])


def measure_training(
    command: Sequence[str], config: configuration.Config, num_repeats: int
) -> dict[str, Any]:
  """Returns what the tool `benchmark`, a command, measures of training."""
  with tempfile.NamedTemporaryFile('w', suffix='.flags') as file:
    file.write(flags_lib.to_flagfile(config))
    file.flush()
    return measure([
        *command, f'--flagfile={file.name}', '--tasks=train',
        f'--num_repeats={num_repeats}'], 'train')


def read_baseline(path: str | os.PathLike) -> dict[str, Any]:
  """Reads the last line of a file as a JSON object with measurements.

  Raises:
    OSError: if it cannot be read.
    InvalidValueError: if it holds no measurement to compare with.
  """
  with open(path, encoding='utf-8', errors='replace') as file:
    last_line = file.read().strip().rpartition('\n')[-1]
  try:
    values = json.loads(last_line)
  except ValueError:
    values = None
  has_numbers = isinstance(values, dict) and any(
      isinstance(values.get(k), (int, float)) and values[k] > 0
      for k in _COMPARED)
  errors.check(
      has_numbers, 'baseline_json', path, 'a file whose last line is a JSON '
      f'object with a positive number of {", ".join(_COMPARED)}')
  return values


def format_table(values: Mapping[str, Any],
                 baseline: Mapping[str, float] | None = None) -> str:
  """Returns measurements as text, beside those of a baseline and the ratios."""
  baseline = baseline or {}
  lines = [f'{"":26s}{"this":>12s}{"baseline":>12s}{"ratio":>8s}'
           ] if baseline else []
  for name, value in values.items():
    if isinstance(value, int | float):
      lines.append(f'{name:26s}{value:{"12,.4g" if value % 1 else "12,.0f"}}')
      if name in _COMPARED and baseline.get(name):
        lines[-1] += f'{baseline[name]:12.4g}{value / baseline[name]:8.3f}'
  return '\n'.join(lines)


def advise(
    config: configuration.Config, measured: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns the time and memory of a run, with advice.

  `left_out` is not included.

  Returns:
    A dict for JSON that includes what `tasks.measure_run` measured; `warnings`
    is a list of texts.
  """
  optimizer, values = config.optimizer, config.values()
  batch, memory = optimizer.batch_size, measured['memory_gb']
  peak = measured['peak_memory_gb']
  seconds = measured['first_step_s'] + (
      optimizer.num_steps - 1) * measured['train_step_mean_s']
  smaller = [f'a smaller --{name}' for name in (
      'num_blocks', 'hidden_channels', 'hidden_units') if name in values]
  warnings = []
  if memory is not None and peak > 0.9 * memory:
    advice = []
    if batch > 1:
      advice.append(
          f'--batch_size={batch // 2} --accumulation_steps='
          f'{2 * optimizer.accumulation_steps} (nearly the same steps)')
    if values.get('memory', _LEAST_MEMORY) != _LEAST_MEMORY:
      advice.append(f'--memory={_LEAST_MEMORY}')
    warnings.append(
        f'The peak memory is {peak:.3g} of {memory:.3g} GB. To reduce it: '
        f'{", ".join(advice + smaller)}.')
  if seconds > 7 * 86400:
    advice = ['a smaller --batch_size'] if batch > 1 else []
    warnings.append(
        f'The run takes {seconds / 86400:.3g} days. To reduce '
        f'this: {", ".join(["fewer --num_steps", *advice, *smaller])}; '
        'or use several GPUs with --strategy=mirrored.')
  kept = config.run.checkpoints_to_keep + bool(config.run.keep_best)
  return {
      'batch_size': batch, 'num_steps': optimizer.num_steps, **measured,
      'checkpoints_mb': kept * measured['checkpoint_mb'],
      'run_seconds': seconds, 'run_hours': seconds / 3600,
      'run_days': seconds / 86400, 'warnings': warnings,
      'left_out': ['validation', 'samples', 'checkpoints'] + [
          'training on all rows'] * bool(config.run.refit)}
