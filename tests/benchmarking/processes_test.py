"""Every task in a process of its own."""

import sys

import pytest

from tf_resflow import benchmarking

_SCRIPT = """import json, os, sys
task = sys.argv[-1].removeprefix('--worker=')
if task == 'bad':
  sys.exit('first\\nno memory left')
if task == 'large':
  os.kill(os.getpid(), 9)
print('noise')
print(json.dumps({task: sys.argv[1], f'{task}_process': os.getpid()}))
"""


def test_reports_are_joined(tmp_path):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  seen = []
  values = benchmarking.measure(
      [sys.executable, str(script), '--flag'], ['train', 'sample'], seen.append)
  assert seen == ['train', 'sample']
  assert (values['train'], values['sample']) == ('--flag', '--flag')
  assert values['train_process'] != values['sample_process']


@pytest.mark.parametrize('task, message', [
    ('bad', 'measuring bad ended with status 1: no memory left'),
    ('large', 'measuring large ended with status -9: it was killed, as the '
     'system does where memory is short')])
def test_failures_carry_their_reason(tmp_path, task, message):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  with pytest.raises(benchmarking.MeasurementError, match=message):
    benchmarking.measure([sys.executable, str(script)], [task])
