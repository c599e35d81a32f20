"""Tables of known records."""

import numpy as np
from scipy import stats

from tests.experiments import studies
from tf_resflow.experiments import comparison
from tf_resflow.experiments import study_report


def test_tables():
  records = studies.records(-0.2)
  width = stats.t.ppf(0.975, 1) * np.hypot(0.5, 0.25)
  lines = study_report.table(studies.STUDY, records).splitlines()
  assert lines[2] == (
      f'| digits | a | 0.01 (edge) | 1,200 | 3.5000 +- {width:.4f} |  |  | '
      '0.5000 +- 0.0000 |  |  |')
  found = comparison.Estimate(*records['compare-digits-b']['bits_per_dim'])
  assert f'| {found.text()} | better |' in lines[3]
  # A higher accuracy is better.
  assert lines[3].endswith('| better |')
  assert 'undecided' in study_report.table(studies.STUDY, studies.records(0.0))
  assert study_report.rates_table(studies.STUDY, records).splitlines()[2:] == [
      '| a | **2.0000** | 2.0000 |', '| b | **2.0000** | diverged |']


def test_picture(tmp_path):
  path = tmp_path / 'a.png'
  study_report.save_picture(studies.STUDY, studies.records(-0.2), path)
  assert path.stat().st_size > 0
