"""Tables of known records."""

import json

import numpy as np
from scipy import stats

from tf_resflow.experiments import comparison
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_report

_STUDY = study_lib.Study(
    title='A question', cases={'a': {}, 'b': {}}, rates=(0.01, 0.02),
    workloads={'digits': study_lib.Workload(
        flagfile='digits', num_steps=1200)},
    num_seeds=2, max_extensions=0, metrics=('bits_per_dim', 'accuracy'))


def _records(difference):
  """Those of a finished study, as JSON has them."""
  records, rng = {}, np.random.default_rng(0)
  while tasks := _STUDY.pending(records):
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
      records[task.name] = {'kind': task.kind, **values}
  return json.loads(json.dumps(records))


def test_tables():
  records = _records(-0.2)
  width = stats.t.ppf(0.975, 1) * np.hypot(0.5, 0.25)
  lines = study_report.table(_STUDY, records).splitlines()
  assert lines[2] == (
      f'| digits | a | 0.01 (edge) | 1,200 | 3.5000 +- {width:.4f} |  |  | '
      '0.5000 +- 0.0000 |  |  |')
  found = comparison.Estimate(*records['compare-digits-b']['bits_per_dim'])
  assert f'| {found.text()} | better |' in lines[3]
  # A higher accuracy is better.
  assert lines[3].endswith('| better |')
  assert 'undecided' in study_report.table(_STUDY, _records(0.0))
  assert study_report.rates_table(_STUDY, records).splitlines()[2:] == [
      '| a | **2.0000** | 2.0000 |', '| b | **2.0000** | diverged |']


def test_picture(tmp_path):
  study_report.save_picture(_STUDY, _records(-0.2), tmp_path / 'a.png')
  assert (tmp_path / 'a.png').stat().st_size > 0
