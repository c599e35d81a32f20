"""Every task in a process of its own."""

import pytest

from tf_resflow.benchmarking import processes

_SCRIPT = """import json, os, sys
task = sys.argv[-1].removeprefix('--worker=')
if task == 'bad':
  sys.exit('first\\nno memory left')
print('noise')
print(json.dumps({task: sys.argv[1], f'{task}_process': os.getpid()}))
"""


def test_reports_are_joined(tmp_path):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  seen = []
  values = processes.measure(
      [str(script), '--flag'], ['train', 'sample'], seen.append)
  assert seen == ['train', 'sample']
  assert (values['train'], values['sample']) == ('--flag', '--flag')
  assert values['train_process'] != values['sample_process']


def test_failures_carry_their_reason(tmp_path):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  with pytest.raises(
      processes.MeasurementError,
      match='measuring bad ended with status 1: no memory left'):
    processes.measure([str(script)], ['bad'])
