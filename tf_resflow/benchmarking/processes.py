"""Measurements in processes of their own."""

from collections.abc import Callable, Sequence
import json
import signal
import subprocess
from typing import Any

from tf_resflow import errors


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
