"""A study whose records are known."""

import json

import numpy as np

from tf_resflow.experiments import comparison
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_log

STUDY = study_lib.Study(
    title='A question', cases={'a': {}, 'b': {}}, rates=(0.01, 0.02),
    workloads={'digits': study_lib.Workload(
        flagfile='digits', num_steps=1200)},
    num_seeds=2, max_extensions=0, metrics=('bits_per_dim', 'accuracy'))


def records(difference):
  """Those of a finished study, as JSON has them."""
  found, rng = {}, np.random.default_rng(0)
  while tasks := STUDY.pending(found):
    for task in tasks:
      if task.kind == study_lib.COMPARE:
        values = {name: comparison.of_seeds_and_examples(
            difference * sign + 0.01 * rng.normal(size=[2, 9]))
                  for name, sign in (('bits_per_dim', 1), ('accuracy', -1))}
      elif (task.case, task.rate, task.kind) == ('b', 0.02, 'tune'):
        values = {}  # It diverged.
      else:
        values = {'bits_per_dim': 2.0 + task.seed, 'accuracy': 0.5,
                  'bits_per_dim_stderr': 0.25, 'accuracy_stderr': 0.0}
      found[task.name] = {'kind': task.kind, **values}
  return json.loads(json.dumps(found))


def write_log(path, difference):
  """Writes the log of the finished study."""
  known = records(difference)
  with study_log.StudyLog(path, 'mine', STUDY) as log:
    while tasks := STUDY.pending(log.records):
      log.append(tasks[0], known[tasks[0].name])
