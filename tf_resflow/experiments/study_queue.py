"""Does what a study has left, one task after another; may be killed any time.
"""

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import time
from typing import Any

import numpy as np

from tf_resflow import benchmarking
from tf_resflow import errors
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.experiments import comparison
from tf_resflow.experiments import program as program_lib
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_log
from tf_resflow.experiments import trials
from tf_resflow.training import files
from tf_resflow.training import signals

# Timed updates per measurement.
_NUM_REPEATS = 15
# Seconds of imports, tracing and evaluation of a run, about.
_START = 15.0


class TaskError(errors.ExpectedError):
  """The process of a task failed."""


@dataclasses.dataclass(frozen=True)
class Queue:
  """The queue of a study in a folder.

  Args:
    study: the study.
    workdir: folder of its log and runs.
    command_fn: from a tool and its arguments to the command of a process.
    worker: arguments of the tool `study` that name the study there, and import
      modules with its types.
    progress_fn: called with lines for people.
  """

  study: study_lib.Study
  workdir: str
  command_fn: Callable[[str, Sequence[str]], list[str]]
  worker: Sequence[str]
  progress_fn: Callable[[str], object]

  def run(self, name: str) -> dict[str, dict[str, Any]]:
    """Does all that is left, and returns the records.

    Raises:
      TaskError: if a task fails; those that are done stay in the log.
    """
    study = self.study
    study.check()
    os.makedirs(self.workdir, exist_ok=True)
    with study_log.StudyLog(
        os.path.join(self.workdir, study_lib.LOG), name, study) as log:
      self.progress_fn(f'{study.title}: {outlook(study, log.records)}.')
      while tasks := study.pending(log.records):
        task, start = tasks[0], time.monotonic()
        values = self._do(task, log.records)
        seconds = time.monotonic() - start
        log.append(task, {**values, 'seconds': round(seconds, 1)})
        self.progress_fn(f'{_line(study, log.records[task.name])}; '
                         f'{outlook(study, log.records)}')
      return log.records

  def _do(self, task, records):
    """Returns the values of the record of a task."""
    if task.kind == study_lib.TIME:
      return self._time(task, records)
    if task.kind == study_lib.COMPARE:
      return self._compare(task, records)
    folder = os.path.join(self.workdir, task.name)
    os.makedirs(folder, exist_ok=True)
    log = f'{folder}.log'
    output = self._output(self.command_fn('study', [
        *self.worker, f'--task={task.name}']), log)
    record = json.loads(output.splitlines()[-1])
    program = self.study.cases[task.case]
    if not isinstance(program, study_lib.Program):
      return record
    self._output([self._python(program), os.fspath(program.script), *(
        os.path.join(folder, name) for name in (
            program_lib.ROWS, program_lib.VALUES)), str(task.seed)], log,
                 None if program.requirements else os.environ | {
                     'PYTHONPATH': os.pathsep.join(sys.path)})
    record['looks'] = trials.count_look(folder)
    found, nats = program_lib.read_values(folder)
    np.savez(os.path.join(folder, trials.ARRAYS), nats=nats)
    return record | found

  def _python(self, program):
    """Returns the interpreter of a program; makes its environment first."""
    if not program.requirements:
      return sys.executable
    text = '\n'.join(program.requirements)
    folder = os.path.join(self.workdir, 'environments', hashlib.sha256(
        text.encode()).hexdigest()[:16])
    python = os.path.join(folder, 'bin', 'python')
    is_whole = os.path.join(folder, 'requirements.txt')
    if not os.path.exists(is_whole):
      self.progress_fn(f'Installing {", ".join(program.requirements)}.')
      os.makedirs(os.path.dirname(folder), exist_ok=True)
      log = f'{folder}.log'
      self._output([sys.executable, '-m', 'venv', '--clear', folder], log)
      self._output(
          [python, '-m', 'pip', 'install', *program.requirements], log)
      files.write_text(is_whole, text)
    return python

  def _output(self, command, path, env=None):
    """Returns what a process writes to stdout; its stderr goes to a file."""
    # A signal waits until the process has saved.
    with open(path, 'ab') as file, signals.deferring() as stop:
      process = subprocess.Popen(
          command, stdout=subprocess.PIPE, stderr=file, text=True, env=env)
      try:
        with stop.interruptible():
          output, _ = process.communicate()
      except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if process.returncode:
      lines = files.read_text(path).strip().splitlines() or ['no message']
      raise TaskError(
          f'a run ended with status {process.returncode}: {lines[-1]} {path} '
          'has its output. Repeat the command when the cause is removed.')
    return output

  def _time(self, task, records):
    config = self.study.make_config(
        task, records, flags_lib.modules_of(self.worker))
    measured = benchmarking.report.measure_training(
        self.command_fn('benchmark', []), config, _NUM_REPEATS)
    return {'step_s': measured['train_step_mean_s']}

  def _compare(self, task, records):
    """Returns an `Estimate` of the difference to the first case, by metric."""
    pairs = list(zip(
        self.study.finals(task.workload, task.case, records),
        self.study.finals(task.workload, self.study.reference, records),
        strict=True))
    # Of a finalist that diverged nothing can be compared.
    metrics = [metric for metric in self.study.metrics if all(
        metric in records[final.name] for pair in pairs for final in pair)]
    folds = self.study.workloads[task.workload].folds
    # What no case has a value of is infinite in both.
    with np.errstate(invalid='ignore'):
      return {metric: comparison.of_finalists([
          self._values(final, metric) - self._values(first, metric)
          for final, first in pairs], folds) for metric in metrics}

  def _values(self, task, metric):
    """Returns those of the examples of a finalist."""
    path = os.path.join(self.workdir, task.name, trials.ARRAYS)
    with np.load(path) as arrays:
      return arrays[metric]


def outlook(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns how many runs are left, and about how long they take, if known.

  Runs have the seconds of their workload and those of a start, times what those
  that are done took of these.
  """
  left = study.num_left(records)
  text = f'{sum(left.values())} runs left'
  budgets = {name: workload.seconds + _START
             for name, workload in study.workloads.items() if workload.seconds}
  if not any(left.values()) or {*budgets} != {*left}:
    return text
  runs = [record for record in records.values()
          if record['kind'] in (study_lib.TUNE, study_lib.FINAL)]
  factor = sum(record['seconds'] for record in runs) / sum(
      budgets[record['workload']] for record in runs) if runs else 1.0
  seconds = factor * sum(left[name] * budgets[name] for name in left)
  hours, minutes = divmod(round(seconds / 60.0), 60)
  return f'{text}, about {hours}:{minutes:02} h'


def _line(study, record):
  """Returns a line about a task that is done."""
  if record['kind'] == study_lib.TIME:
    text = f'{record["step_s"]:.4g} s a step'
  elif record['kind'] == study_lib.COMPARE:
    text = ', '.join(
        comparison.Estimate(*record[metric]).text(metric)
        for metric in study.metrics if metric in record) or 'nothing to compare'
  else:
    steps = record.get('num_steps')  # A program has none.
    text = (f'{steps:,} steps, ' if steps else '') + ', '.join(
        f'{record[metric]:.4f} {metric}' for metric in study.metrics
        if metric in record) + record.get('problem', '')
  return f'{record["task"]}: {text} ({record["seconds"]:.0f} s)'
