"""bin/benchmark: its JSON, its ratios, its guard and what it refuses."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_TINY = [
    '--dataset=digits', '--num_blocks=1', '--hidden_channels=4',
    '--num_dense_blocks=0', '--batch_size=4', '--num_repeats=2']


def test_one_json_line_and_ratios(tmp_path):
  peer = tmp_path / 'peer.json'
  peer.write_text('{"train_step_s": 1e9, "evaluate_s": 1e9}')
  np.savez(tmp_path / 'x.npz', x=np.full([4, 8, 8, 1], 0.5))
  process = subprocess.run(
      [sys.executable, 'bin/benchmark', *_TINY, f'--baseline_json={peer}',
       f'--inputs={tmp_path}/x.npz', '--num_roulette_terms=2'],
      cwd=_ROOT, capture_output=True, text=True, check=False)
  assert process.returncode == 0, process.stderr
  (line,) = process.stdout.splitlines()
  report = json.loads(line)
  assert {'train_step_s', 'evaluate_s', 'sample_s', 'first_step_s',
          'peak_memory_gb'} <= set(report)
  assert report['num_roulette_terms'] == 2
  (row,) = [r for r in process.stderr.splitlines()
            if r.startswith('training step')]
  assert row.split()[-1] == '0.000'


def test_guard_fails_where_the_share_is_not_reached(tmp_path):
  """All of the speed of plain products is out of reach."""
  process = subprocess.run(
      [sys.executable, 'bin/benchmark', *_TINY, '--tasks=train',
       '--num_roulette_terms=2', '--min_ceiling_fraction=1'],
      cwd=_ROOT, capture_output=True, text=True, check=False)
  assert process.returncode == 2
  assert process.stderr.splitlines()[-1].startswith(
      'benchmark: error: --min_ceiling_fraction is 1.0, but a training step')


@pytest.mark.parametrize('arguments, message', [
    (['--tasks=train,draw'], "--tasks is 'train,draw'; expected one or more"),
    (['--baseline_json=/nowhere'], 'No such file or directory'),
    (['--num_repeats=1'], '--num_repeats is 1; evaluation and sampling need'),
    (['--min_ceiling_fraction=0.5'], '--min_ceiling_fraction needs the task'),
    (['--workdir=/nowhere'], '/nowhere'),
    (['--inputs=/nowhere.npz'], 'which does not exist')])
def test_bad_input_is_one_line(run_tool, arguments, message):
  result = run_tool('benchmark', *_TINY, *arguments)
  assert result.status == 2
  (line,) = result.stderr.splitlines()
  assert line.startswith('benchmark: error: ') and message in line
