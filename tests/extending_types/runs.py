"""The runs of docs/extending.md, in a process that knows its types.

tests/extending_test.py runs these with the plugin beside this file.
"""

import json

import numpy as np
import pytest

from tests import documents
from tests.extending_types import plugin

TRAINED = [call for call in documents.commands(plugin.PAGE.read_text())
           if call.tool == 'train']


def workdir_of(call: documents.Command) -> str:
  """Returns the folder that a run is trained in."""
  (workdir,) = [a.removeprefix('--workdir=') for a in call.arguments
                if a.startswith('--workdir=')]
  return workdir


def train(call, folder, run) -> None:
  """Trains for a step.

  Args:
    call: of bin/train.
    folder: where it runs.
    run: `run(tool, *arguments)` runs a tool there and returns its stdout.
  """
  workdir = workdir_of(call)
  np.save(folder / 'points.npy',
          np.random.default_rng(0).normal(size=[100, 3]))
  run('train', *call.arguments, '--sample_every=1', '--batch_size=8',
      '--warmup_steps=0', '--num_steps=1', '--noevaluate_at_end')
  run_flags = (folder / workdir / 'run.flags').read_text().splitlines()
  assert '--import=my_types' in run_flags
  given = [a.replace('npy:', f'npy:{folder}/') for a in call.arguments
           if not a.startswith(('--workdir', '--num_steps'))]
  assert set(given) <= set(run_flags)


def evaluate_and_resume(call, folder, run) -> None:
  """Evaluates what `train` made, and goes on by its flagfile."""
  workdir = workdir_of(call)
  report = json.loads(run(
      'evaluate', '--import=my_types', f'--workdir={workdir}',
      '--num_examples=8', '--certify').splitlines()[-1])
  assert 0.0 < report['bits_per_dim'] < 50.0
  assert report['reconstruction_error_max'] < 1e-3
  run('train', f'--flagfile={workdir}/run.flags', f'--workdir={workdir}',
      '--num_steps=2', '--noevaluate_at_end')
  metrics = (folder / workdir / 'metrics.csv').read_text().splitlines()
  assert len(metrics) >= 2
  assert '--num_steps=2' in (folder / workdir / 'run.flags').read_text()


@pytest.mark.parametrize('call', TRAINED[1:], ids=workdir_of)
def test_trained(call, tmp_path, monkeypatch, run_tool):
  monkeypatch.chdir(tmp_path)

  def run(tool, *arguments):
    result = run_tool(tool, *arguments)
    assert result.status == 0, result.stderr
    return result.stdout

  train(call, tmp_path, run)
