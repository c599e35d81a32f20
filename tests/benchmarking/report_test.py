"""Processes, tables and baselines."""

import sys

import pytest

from tests import testing
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


def test_reports_are_joined_and_failures_carry_their_reason(tmp_path):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  seen = []
  values = benchmarking.measure(
      [sys.executable, str(script), '--flag'], ['train', 'sample'], seen.append)
  assert seen == ['train', 'sample']
  assert (values['train'], values['sample']) == ('--flag', '--flag')
  assert values['train_process'] != values['sample_process']
  for task, message in (
      ('bad', 'measuring bad ended with status 1: no memory left'),
      ('large', 'measuring large ended with status -9: it was killed, as the '
       'system does where memory is short')):
    with pytest.raises(benchmarking.MeasurementError, match=message):
      benchmarking.measure([sys.executable, str(script)], [task])


def test_ratios_of_what_both_measured():
  values = {'train_step_s': 1.0, 'evaluate_s': 3.0, 'images_per_second': 5.0}
  baseline = {'train_step_s': 4.0, 'sample_s': 1.0, 'evaluate_s': 0.0,
              'images_per_second': 1.0}
  table = benchmarking.format_table(values, baseline)
  lines = table.splitlines()
  assert 'baseline' in lines[0] and 'ratio' in lines[0]
  assert lines[1].split()[-3:] == ['1', '4', '0.250']
  assert lines[2].split()[-2:] == ['s', '3']
  assert 'baseline' not in benchmarking.format_table(values)


def test_baseline_is_the_last_line(tmp_path):
  path = tmp_path / 'peer.json'

  def read(text):
    path.write_text(text)
    return benchmarking.read_baseline(path)

  baseline = read('noise\n{"train_step_s": 4.5, "name": "peer"}\n\n')
  assert baseline['train_step_s'] == 4.5
  testing.check_refusals(read, [
      (text, f'baseline_json={path}: expected a file whose last line')
      for text in ('', 'not json', '[1, 2]', '{"other": 1}',
                   '{"train_step_s": "fast"}', '{"train_step_s": -1}',
                   '{"train_step_s": 0}')])
