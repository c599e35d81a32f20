"""Runs every measurement in a process of its own."""

import json
import subprocess
import sys


class MeasurementError(RuntimeError):
  """A measuring process failed."""


def measure(command, tasks, progress_fn=None):
  """Runs a command once per task and joins what the processes report.

  A fresh process has neither the traces nor the memory of another task.

  Args:
    command: list of strings; the process runs `command --worker=TASK` and
      writes one JSON object to the last line of its output.
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
        [sys.executable, *command, f'--worker={task}'], text=True,
        capture_output=True, check=False)
    if process.returncode:
      reason = (process.stderr.strip().splitlines() or ['no message'])[-1]
      raise MeasurementError(
          f'measuring {task} ended with status {process.returncode}: {reason}')
    values.update(json.loads(process.stdout.splitlines()[-1]))
  return values
