"""Tables of known records."""

import numpy as np
from scipy import stats

from tests.experiments import studies
from tf_resflow.experiments import comparison
from tf_resflow.experiments import study as study_lib
from tf_resflow.experiments import study_report


def test_tables():
  records = studies.records(-0.2)
  width = stats.t.ppf(0.975, 0.3125**2 / 0.25**2) * np.hypot(0.5, 0.25)
  first, second = study_report.table(studies.STUDY, records).split('\n\n')
  *_, row = first.splitlines()[:3]
  assert first.startswith('| bits_per_dim | a | b |\n|---|---|---|\n')
  assert row.startswith(f'| digits | 3.5000 +- {width:.4f}; 1,200 steps | ')
  for table, metric in (first, 'bits_per_dim'), (second, 'accuracy'):
    found = comparison.Estimate(*records['compare-digits-b'][metric])
    assert found.is_decided and (
        f'(**{found.mean:+.4f} +- {found.high - found.mean:.4f}**)' in table)
  assert second.startswith(
      '| accuracy | a | b |\n|---|---|---|\n| digits | 0.5000 +- 0.0000 | ')
  assert '**' not in study_report.table(studies.STUDY, studies.records(0.0))
  assert study_report.rates_table(studies.STUDY, records).splitlines()[2:] == [
      '| a | **2.0000** (edge) | 2.0000 |',
      '| b | **2.0000** (edge) | diverged |']


def _without_rates(**fields):
  """Returns a study without rates and its records: b is better, c is not."""
  study = study_lib.Study(
      title='A question', cases={'a': {}, 'b': {}, 'c': {}}, rates=(),
      workloads={'iris': study_lib.Workload(flagfile='table', **fields)},
      metrics=('nats',), num_seeds=4)
  records = {}
  for case, shift in zip('abc', (0.0, -2.0, 0.125), strict=True):
    for task in study.finals('iris', case, {}):
      records[task.name] = {'nats': 5.0 + shift + task.seed,
                            'nats_stderr': 0.5}
  return study, records | {
      'compare-iris-b': {'nats': [-2.0, 0.5, -2.5, -1.5]},
      'compare-iris-c': {'nats': [0.125, 0.1, -0.25, 0.5]}}


def test_a_study_without_rates():
  variance = stats.sem([1, 2, 3, 4])**2
  width = np.sqrt(variance + 0.25) * stats.t.ppf(
      0.975, (variance + 0.25)**2 / (variance**2 / 3))
  assert study_report.table(*_without_rates()).splitlines() == [
      '| nats | a | b | c |', '|---|---|---|---|',
      f'| iris | 7.50 +- {width:.2f} | 5.50 +- {width:.2f} (**-2.00 +- 0.50**) '
      f'| 7.62 +- {width:.2f} (+0.12 +- 0.38) |']
  width = stats.t.ppf(0.975, 3) * np.std([1, 2, 3, 4], ddof=1) * np.sqrt(1.25)
  assert f'| iris | 7.50 +- {width:.2f} | 5.50' in study_report.table(
      *_without_rates(folds=2))


def test_more_looks_than_one_are_named():
  study, _ = _without_rates(seconds=60.0)
  records = {str(i): {'kind': study_lib.FINAL, 'workload': 'iris',
                      'looks': looks, 'seconds': 900.0}
             for i, looks in enumerate([1, 1, 1])}
  text = 'Seconds of training: 60. All tasks took 0.8 hours.'
  assert study_report.remarks(study, records) == (
      f'Looks at test parts: 3 by 3 finalists. {text}')
  records['1']['looks'] = 2
  assert study_report.remarks(study, records) == (
      f'Looks at test parts: 4 by 3 finalists, of iris 4 by 3. {text}')


def test_picture(tmp_path):
  path = tmp_path / 'a.png'
  for study, records in (
      (studies.STUDY, studies.records(-0.2)), _without_rates()):
    study_report.save_picture(study, records, path)
    assert path.stat().st_size > 0
    path.unlink()
