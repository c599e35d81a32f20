"""docs/extending.md: its kinds pass the tests of ours, and are trained.

In processes of their own: what is registered is registered for all tests of a
process.
"""

import json
import os
import subprocess
import sys

import pytest

from tests import documents
from tests.commands import processes
from tests.extending_kinds import plugin as extending

_CALLS = documents.commands(extending.PAGE.read_text())
_TRAINED = [call for call in _CALLS if call.tool == 'train']


def run_tool(folder, tool, *arguments):
  """Runs bin/TOOL in a folder with `my_kinds.py`."""
  process = processes.run_launcher(tool, *arguments, cwd=folder)
  assert process.returncode == 0, process.stderr
  return process


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('reader')
  extending.write_module(folder)
  return folder


def workdir_of(call):
  (workdir,) = [a.removeprefix('--workdir=') for a in call.arguments
                if a.startswith('--workdir=')]
  return workdir


def test_flags_know_the_kinds(folder):
  """Without TensorFlow's own work: `--help` imports the module alone."""
  process = run_tool(folder, 'train', '--import=my_kinds', '--help')
  assert process.stderr == ''
  text = process.stdout
  for name in ('concatenated_elu', 'frobenius', 'averaged', 'checkerboard',
               'inverse', 'gaussian', 'stripes', '--pixel_alpha'):
    assert name in text
  assert 'frobenius' not in run_tool(folder, 'train', '--help').stdout


_FAST = ('everything_registered or every_kind or mine_activation or '
         'mine_constrained or mine_data')


@pytest.mark.parametrize('selection', [
    pytest.param(_FAST, id='layers'),
    pytest.param('mine', id='all', marks=pytest.mark.slow)])
def test_conformance(selection, tmp_path):
  """And everything that is registered has a case."""
  process = subprocess.run(
      [sys.executable, '-m', 'pytest', '-q',
       '-p', 'tests.extending_kinds.plugin', '-p', 'no:cacheprovider',
       f'--basetemp={tmp_path / "pytest"}',
       'tests/conformance', '-k', selection],
      cwd=documents.ROOT, capture_output=True, text=True, check=False,
      env=os.environ | {'PYTHONPATH': str(documents.ROOT)})
  assert process.returncode == 0, process.stdout
  assert 'passed' in process.stdout


@pytest.mark.slow
@pytest.mark.parametrize('call', _TRAINED, ids=workdir_of)
def test_trained_for_a_step_evaluated_and_resumed(folder, call):
  workdir = workdir_of(call)
  short = ('--sample_every=1', '--batch_size=8', '--warmup_steps=0')
  run_tool(folder, 'train', *call.arguments, *short, '--num_steps=1',
           '--noevaluate_at_end')
  run_flags = (folder / workdir / 'run.flags').read_text().splitlines()
  assert '--import=my_kinds' in run_flags
  given = [a for a in call.arguments if not a.startswith(
      ('--workdir', '--num_steps'))]
  assert set(given) <= set(run_flags)
  # The run says what to import.
  report = json.loads(run_tool(
      folder, 'evaluate', f'--workdir={workdir}', '--num_examples=8',
      '--certify').stdout.splitlines()[-1])
  assert 0.0 < report['bits_per_dim'] < 50.0
  assert report['reconstruction_error_max'] < 1e-3
  # And goes on.
  run_tool(folder, 'train', f'--flagfile={workdir}/run.flags',
           f'--workdir={workdir}', '--num_steps=2', '--noevaluate_at_end')
  metrics = (folder / workdir / 'metrics.csv').read_text().splitlines()
  assert len(metrics) >= 2
  assert '--num_steps=2' in (folder / workdir / 'run.flags').read_text()
