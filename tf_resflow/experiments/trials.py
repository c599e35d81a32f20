"""One run of a study, in a process of its own."""

from collections.abc import Mapping, Sequence
import json
import math
import os
import re
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.experiments import bias
from tf_resflow.experiments import program
from tf_resflow.experiments import study as study_lib
from tf_resflow.training import files

# Values per example that are compared, the record, and the number of looks at
# the test part, in the folder of a finalist.
ARRAYS, RECORD, _LOOKS = 'test.npz', 'test.json', 'looks'


def run(study: study_lib.Study, task: study_lib.Task,
        records: study_lib.Records, workdir: str,
        imports: Sequence[str] = ()) -> dict[str, Any]:
  """Trains, or continues the run in a folder, and evaluates it.

  A finalist that was evaluated before a kill is not evaluated again. For a
  program, which the queue starts, its rows are written; its record is empty.

  Returns:
    The record: `num_steps`, the metrics that are finite and their standard
    errors across examples; or the `problem` of a run that diverged. Finalists
    have the number of `looks` at the test part, and those that train with a
    biased estimator its `bias`, see `bias.measure_bias`.
  """
  path = os.path.join(workdir, RECORD)
  if os.path.exists(path):
    return json.loads(files.read_text(path))
  config = study.make_config(task, records, imports)
  if task.case not in study.flows:
    program.write_rows(config, workdir)
    return {}
  record: dict[str, Any] = {'num_steps': config.optimizer.num_steps}
  try:
    flow = workflow.fit(config, workdir, evaluate_at_end=False, takeover=True)
  except training.TrainingDivergedError as error:
    return record | {'problem': _problem(error)}
  is_final = task.kind == study_lib.FINAL
  try:
    results = workflow.evaluate(
        flow, 'test' if is_final else 'validation', certify=False,
        num_reconstructions=1)
  except errors.InvalidValueError as error:  # Densities are not finite.
    return record | {'problem': _problem(error)}
  names = [name for name in study_lib.METRICS if math.isfinite(
      results.numbers.get(name, math.nan))]
  record |= {key: results.numbers[key] for name in names
             for key in (name, f'{name}_stderr')}
  if is_final:
    if any(e.is_biased for e in flow.estimators()):
      found = bias.measure_bias(
          flow, flow.run.open('test'), strategy=flow.run.strategy)
      record |= {key: found[key] for key in ('bias', 'bias_stderr')}
    # An evaluation that was killed has shown nothing.
    record['looks'] = count_look(workdir)
    np.savez(os.path.join(workdir, ARRAYS), **{
        name: values_of(results.arrays, name) for name in names})
    files.write_text(path, json.dumps(record))
  return record


def count_look(workdir: str) -> int:
  """Counts one more in a file, of a byte each, and returns their number."""
  with open(os.path.join(workdir, _LOOKS), 'ab') as file:
    file.write(b'.')
    return file.tell()


def _problem(error):
  """Returns the beginning of a message, without paths."""
  return re.split('[;(]', errors.sentence(error))[0].strip()


def values_of(arrays: Mapping[str, Any], metric: str) -> np.ndarray:
  """Returns the values of a metric of every example, `[N]`."""
  if metric in arrays:
    return np.mean(arrays[metric], axis=0)
  log_probs, label = arrays['class_log_prob'], arrays['label']
  return np.float64(log_probs.argmax(axis=1) == label) if (
      metric == 'accuracy') else -log_probs[np.arange(len(label)), label]
