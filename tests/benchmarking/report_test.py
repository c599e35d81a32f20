"""Processes, tables and baselines; advice against calculations by hand."""

import sys

import pytest

from tests import testing
from tf_resflow import configuration
from tf_resflow.benchmarking import report

_SCRIPT = """import json, os, sys
task = sys.argv[-1].removeprefix('--worker=')
if task == 'bad':
  sys.exit('first\\nno memory left')
if task == 'large':
  os.kill(os.getpid(), 9)
print('noise')
print(json.dumps({task: sys.argv[1], f'{task}_process': os.getpid()}))
"""


def test_tasks_have_processes_of_their_own_and_failures_their_reason(tmp_path):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  train, sample = (
      report.measure([sys.executable, str(script), '--flag'], task)
      for task in ('train', 'sample'))
  assert (train['train'], sample['sample']) == ('--flag', '--flag')
  assert train['train_process'] != sample['sample_process']
  for task, message in (
      ('bad', 'measuring bad ended with status 1: no memory left'),
      ('large', 'measuring large ended with status -9: it was killed, probably '
       'because memory ran out; use a')):
    with pytest.raises(report.MeasurementError, match=message):
      report.measure([sys.executable, str(script)], task)


def test_ratios_of_what_both_measured():
  values = {'train_step_s': 1.0, 'evaluate_s': 3.0, 'images_per_second': 5.0}
  baseline = {'train_step_s': 4.0, 'sample_s': 1.0, 'evaluate_s': 0.0,
              'images_per_second': 1.0}
  table = report.format_table(values, baseline)
  lines = table.splitlines()
  assert 'baseline' in lines[0] and 'ratio' in lines[0]
  assert lines[1].split()[-3:] == ['1', '4', '0.250']
  assert lines[2].split() == ['evaluate_s', '3']
  assert 'baseline' not in report.format_table(values)


def test_baseline_is_the_last_line(tmp_path):
  path = tmp_path / 'peer.json'

  def read(text):
    path.write_text(text)
    return report.read_baseline(path)

  baseline = read('noise\n{"train_step_s": 4.5, "name": "peer"}\n\n')
  assert baseline['train_step_s'] == 4.5
  testing.check_refusals(read, [
      (text, f'baseline_json={path}: expected a file whose last line')
      for text in ('', 'not json', '[1, 2]', '{"other": 1}',
                   '{"train_step_s": "fast"}', '{"train_step_s": -1}',
                   '{"train_step_s": 0}')])


_CONFIG = configuration.make_config(
    dataset='digits', num_blocks=(1,), hidden_channels=4, num_dense_blocks=0,
    num_steps=1001, batch_size=64, checkpoints_to_keep=3)
_MEASURED = {
    'num_parameters': 12345, 'first_step_s': 10.0,
    'train_step_mean_s': 0.5, 'num_steps_measured': 20,
    'peak_memory_gb': 2.0, 'memory_gb': 8.0, 'checkpoint_mb': 20.0}


def _advise(config=_CONFIG, **changes):
  return report.advise(config, _MEASURED | changes)


def test_all_steps_are_as_those_measured():
  """But the first."""
  found = _advise(train_step_mean_s=2.0)
  assert found['run_seconds'] == pytest.approx(10.0 + 1000 * 2.0)
  assert found['run_hours'] == pytest.approx(2010.0 / 3600)
  assert found['run_days'] == pytest.approx(2010.0 / 86400)
  assert found['checkpoints_mb'] == 20.0 * 3
  assert found['warnings'] == []
  assert found.items() >= (_MEASURED | {'train_step_mean_s': 2.0}).items()


def test_memory():
  (text,) = _advise(
      _CONFIG.replace(memory='naive', accumulation_steps=3), peak_memory_gb=7.9
  )['warnings']
  assert text == (
      'The peak memory is 7.9 of 8 GB. To reduce it: --batch_size=32 '
      '--accumulation_steps=6 (nearly the same steps), --memory=recompute, a '
      'smaller --num_blocks, a smaller --hidden_channels.')
  (text,) = _advise(
      _CONFIG.replace(batch_size=1), peak_memory_gb=7.9)['warnings']
  assert '--batch_size' not in text and '--memory' not in text
  assert _advise(peak_memory_gb=1e3, memory_gb=None)['warnings'] == []


def test_a_long_run():
  """A week is 604,800 s."""
  config = _CONFIG.replace(num_steps=10**6)
  assert _advise(config, train_step_mean_s=0.604)['warnings'] == []
  (text,) = _advise(config, train_step_mean_s=0.61)['warnings']
  assert text.startswith(
      'The run takes 7.06 days. To reduce this: fewer --num_steps')
  assert '--strategy=mirrored' in text
