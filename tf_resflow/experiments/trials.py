"""One run of a study, in a process of its own."""

from collections.abc import Mapping
import os
from typing import Any

import numpy as np

from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.experiments import bias
from tf_resflow.experiments import study as study_lib

# Values per example that are compared, in the folder of a finalist.
ARRAYS = 'test.npz'


def run(study: study_lib.Study, task: study_lib.Task,
        records: study_lib.Records, workdir: str) -> dict[str, Any]:
  """Trains, or continues the run in a folder, and evaluates it.

  Returns:
    The record: `num_steps`, the metrics and their standard errors across
    examples. A run that diverges has none of these. Finalists that train with
    a biased estimator have its `bias`, see `bias.measure_bias`.
  """
  config = study.make_config(task, records)
  record: dict[str, Any] = {'num_steps': config.optimizer.num_steps}
  try:
    flow = workflow.fit(config, workdir, evaluate_at_end=False, takeover=True)
  except training.TrainingDivergedError:
    return record
  is_final = task.kind == study_lib.FINAL
  results = workflow.evaluate(
      flow, 'test' if is_final else 'validation', certify=False,
      num_reconstructions=1)
  names = [name for name in study_lib.METRICS if name in results.numbers]
  if is_final:
    np.savez(os.path.join(workdir, ARRAYS), **{
        name: values_of(results.arrays, name) for name in names})
  if is_final and any(e.is_biased for e in flow.estimators()):
    found = bias.measure_bias(
        flow, flow.run.open('test'), strategy=flow.run.strategy)
    record |= {key: found[key] for key in ('bias', 'bias_stderr')}
  return record | {key: results.numbers[key] for name in names
                   for key in (name, f'{name}_stderr')}


def values_of(arrays: Mapping[str, Any], metric: str) -> np.ndarray:
  """Returns the values of a metric of every example, `[N]`."""
  if metric in arrays:
    return np.mean(arrays[metric], axis=0)
  log_probs, label = arrays['class_log_prob'], arrays['label']
  return np.float64(log_probs.argmax(axis=1) == label) if (
      metric == 'accuracy') else -log_probs[np.arange(len(label)), label]
