"""Every task in a process of its own."""

import sys

import pytest

from tf_resflow import configuration
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
      [sys.executable, str(script), '--flag'], ['train', 'sample'], seen.append)
  assert seen == ['train', 'sample']
  assert (values['train'], values['sample']) == ('--flag', '--flag')
  assert values['train_process'] != values['sample_process']


def test_failures_carry_their_reason(tmp_path):
  script = tmp_path / 'script'
  script.write_text(_SCRIPT)
  with pytest.raises(
      processes.MeasurementError,
      match='measuring bad ended with status 1: no memory left'):
    processes.measure([sys.executable, str(script)], ['bad'])


def test_a_step_of_a_run_is_measured_by_its_flags(tmp_path):
  """The process is the tool `benchmark` with the flags of the run."""
  script = tmp_path / 'script'
  script.write_text("""import json, sys
(flagfile,) = [a for a in sys.argv if a.startswith('--flagfile=')]
with open(flagfile.partition('=')[2]) as file:
  print(json.dumps({'flags': file.read(), 'arguments': sys.argv[1:]}))
""")
  config = configuration.make_config(
      dataset='digits', num_blocks=(2, 1), estimator='fixed:40',
      memory='naive')
  lines = []
  values = processes.measure_step(
      [sys.executable, str(script)], config, num_repeats=3,
      progress_fn=lines.append)
  assert {'--estimator=fixed:40', '--memory=naive', '--num_blocks=2,1'} <= set(
      values['flags'].splitlines())
  assert values['arguments'][1:] == [
      '--tasks=train', '--num_repeats=3', '--worker=train']
  (line,) = lines
  assert 'images 8-8-1, blocks 2-1' in line and 'fixed:40' in line
