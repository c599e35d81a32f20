"""Does what a study has left, one task after another; may be killed any time.
"""

from collections.abc import Callable, Sequence
import json
import os
import subprocess
import tempfile
import time
from typing import Any

import numpy as np

from tf_resflow import benchmarking
from tf_resflow import errors
from tf_resflow.configuration import flag_parsing as flags_lib
from tf_resflow.experiments import comparison
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_log
from tf_resflow.experiments import trials

LOG = 'study.jsonl'
# Timed updates per measurement.
_NUM_REPEATS = 15
# A process that is told to stop saves first.
_SECONDS_TO_STOP = 120.0


class TaskError(errors.ExpectedError):
  """The process of a task failed."""


class Queue:
  """The queue of a study in a folder.

  Args:
    study: the study.
    workdir: folder of its log and runs.
    command_fn: from a tool and its arguments to the command of a process.
    worker: arguments of the tool `study` that name the study there.
    progress_fn: called with lines for people.
  """

  def __init__(self, study: study_lib.Study, workdir: str, *,
               command_fn: Callable[[str, Sequence[str]], list[str]],
               worker: Sequence[str], progress_fn: Callable[[str], object]):
    self._study = study
    self._workdir = workdir
    self._command_fn = command_fn
    self._worker = worker
    self._say = progress_fn

  def run(self, name: str) -> dict[str, dict[str, Any]]:
    """Does all that is left, and returns the records.

    Raises:
      TaskError: if a task fails; those that are done stay in the log.
    """
    study = self._study
    study.check()
    os.makedirs(self._workdir, exist_ok=True)
    with study_log.StudyLog(
        os.path.join(self._workdir, LOG), name, study) as log:
      self._say(outlook(study, log.records))
      while tasks := study.pending(log.records):
        task, start = tasks[0], time.monotonic()
        values = self._do(task, log.records)
        seconds = time.monotonic() - start
        log.append(task, {**values, 'seconds': round(seconds, 1)})
        self._say(_line(study, log.records[task.name], log.records))
      return log.records

  def _do(self, task, records):
    """Returns the values of the record of a task."""
    if task.kind == study_lib.TIME:
      return self._time(task, records)
    if task.kind == study_lib.COMPARE:
      return self._compare(task, records)
    folder = os.path.join(self._workdir, task.name)
    os.makedirs(folder, exist_ok=True)
    output = self._output(self._command_fn('study', [
        *self._worker, f'--task={task.name}']), f'{folder}.log')
    return json.loads(output.splitlines()[-1])

  def _output(self, command, path):
    """Returns what a process writes to stdout; its stderr goes to a file."""
    with open(path, 'wb') as file:
      process = subprocess.Popen(
          command, stdout=subprocess.PIPE, stderr=file, text=True)
      try:
        output, _ = process.communicate()
      except BaseException:
        process.terminate()
        process.wait(_SECONDS_TO_STOP)
        raise
    if process.returncode:
      with open(path, encoding='utf-8', errors='replace') as file:
        last = (file.read().strip().splitlines() or ['no message'])[-1]
      raise TaskError(f'a run ended with status {process.returncode}: {last} '
                      f'{path} has its output. The same command continues.')
    return output

  def _time(self, task, records):
    config = self._study.make_config(task, records)
    with tempfile.NamedTemporaryFile('w', suffix='.flags') as file:
      file.write(flags_lib.to_flagfile(config))
      file.flush()
      measured = benchmarking.report.measure(self._command_fn('benchmark', [
          f'--flagfile={file.name}', '--tasks=train',
          f'--num_repeats={_NUM_REPEATS}']), ['train'])
    return {'train_step_s': measured['train_step_s'],
            'load': round(os.getloadavg()[0], 2)}

  def _compare(self, task, records):
    study = self._study
    a, b = (
        np.stack([self._arrays(final) for final in study.finals(
            task.workload, case, records)])
        for case in (task.case, study.reference))
    return comparison.of_seeds_and_examples(a - b)._asdict()

  def _arrays(self, task):
    path = os.path.join(self._workdir, task.name, trials.ARRAYS)
    with np.load(path) as arrays:
      return arrays[self._study.metric]


def outlook(study: study_lib.Study, records: study_lib.Records) -> str:
  """Returns how many runs are left, and how long they take, as far as known.
  """
  num_left = study.num_left(records)
  budgets = [w.seconds for w in study.workloads.values()]
  text = f'{study.title}: {num_left} runs left'
  if num_left and None not in budgets:
    first, num_cases = study.workloads[study.tuning], len(study.cases)
    total = num_cases * (
        len(study.grid(records)) * first.seconds
        + study.num_seeds * sum(budgets))
    done = sum(study.workloads[r['workload']].seconds
               for r in records.values()
               if r['kind'] in (study_lib.TUNE, study_lib.FINAL))
    text += (f', {(total - done) / 3600.0:.1f} hours of training, and about '
             'half a minute each')
  return f'{text}.'


def _line(study, record, records):
  """Returns a line about a task that is done."""
  what = record['task']
  if record['kind'] == study_lib.TIME:
    return f'{what}: {record["train_step_s"]:.4g} s a step'
  if record['kind'] == study_lib.COMPARE:
    return (f'{what}: {record["mean"]:+.4f} [{record["low"]:+.4f}, '
            f'{record["high"]:+.4f}] {study.metric}')
  value = record.get(study.metric)
  value = 'diverged' if value is None else f'{value:.4f} {study.metric}'
  left = study.num_left(records)
  return (f'{what}: {record["num_steps"]} steps, {value}; '
          f'{record["seconds"]:.0f} s; {left} runs left')
