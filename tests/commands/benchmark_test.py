"""bin/benchmark: its JSON, its ratios, its guard and what it refuses."""

import json

import numpy as np
import pytest

from tests.commands import processes

_TINY = [
    '--dataset=digits', '--num_blocks=1', '--hidden_channels=4',
    '--num_dense_blocks=0', '--batch_size=4', '--num_repeats=2']


@pytest.mark.slow
def test_one_json_line_and_ratios(tmp_path):
  peer = tmp_path / 'peer.json'
  peer.write_text('{"train_step_s": 1e9, "evaluate_s": 1e9}')
  np.savez(tmp_path / 'x.npz', x=np.full([4, 8, 8, 1], 0.5))
  process = processes.run_launcher(
      'benchmark', *_TINY, f'--baseline_json={peer}',
      f'--inputs={tmp_path}/x.npz', '--estimator=fixed:4',
      '--evaluation_estimator=fixed:22')
  assert process.returncode == 0, process.stderr
  (line,) = process.stdout.splitlines()
  report = json.loads(line)
  assert {'train_step_s', 'evaluate_s', 'sample_s', 'first_step_s',
          'peak_memory_gb'} <= set(report)
  assert report['estimator'] == 'fixed:4' and 'ceiling_fraction' in report
  (row,) = [r for r in process.stderr.splitlines()
            if r.startswith('training step')]
  assert row.split()[-1] == '0.000'


@pytest.mark.slow
def test_guard_fails_where_the_share_is_not_reached(tmp_path):
  """All of the speed of plain products is out of reach."""
  process = processes.run_launcher(
      'benchmark', *_TINY, '--tasks=train', '--estimator=fixed:4',
      '--min_ceiling_fraction=1')
  assert process.returncode == 2
  assert process.stderr.splitlines()[-1].startswith(
      'benchmark: error: --min_ceiling_fraction=1.0: expected at most 0.')


@pytest.mark.slow
def test_a_program_of_a_step(tmp_path):
  process = processes.run_launcher(
      'benchmark', *_TINY[:-1], f'--program={tmp_path}/step')
  assert process.returncode == 0, process.stderr
  (line,) = process.stdout.splitlines()
  report = json.loads(line)
  assert {'bits_per_dim', 'gradient_norm', 'num_parameters', 'batch_size',
          'text_bytes', 'arguments_bytes', 'num_arguments', 'num_outputs'
          } <= set(report)
  assert {path.name for path in tmp_path.iterdir()} == {
      'step.mlir', 'step.npz'}


def test_a_program_that_xla_does_not_have(run_tool, tmp_path):
  result = run_tool('benchmark', *_TINY[:-1], '--estimator=exact',
                    f'--program={tmp_path}/step')
  assert result.status == 2 and not list(tmp_path.iterdir())
  assert result.stderr.splitlines()[-1].startswith(
      'benchmark: error: XLA cannot compile this training step: ')


@pytest.mark.parametrize('arguments, message', [
    (['--program=/nowhere/step'], '--program=/nowhere/step: expected a prefix '
     'of files in a folder that exists. There is no folder /nowhere.'),
    (['--program=step', '--tasks=train,sample'],
     '--tasks=train,sample: expected train alone, with --program. The program'),
    (['--program=step', '--baseline_json=/nowhere'],
     '--baseline_json=/nowhere: expected no such flag with --program.')])
def test_bad_programs_are_one_line(run_tool, arguments, message):
  result = run_tool('benchmark', *_TINY[:-1], *arguments)
  assert result.status == 2
  (line,) = result.stderr.splitlines()
  assert line.startswith('benchmark: error: ') and message in line


def test_a_program_that_cannot_be_written(run_tool, tmp_path):
  (tmp_path / 'step.npz').mkdir()
  result = run_tool('benchmark', *_TINY[:-1], f'--program={tmp_path}/step')
  assert result.status == 2
  (line,) = result.stderr.splitlines()
  assert line.endswith(f'expected a prefix of files that can be written. '
                       f'{tmp_path}/step.npz cannot.')


@pytest.mark.slow
def test_advice():
  """What a run takes, without its data set."""
  process = processes.run_launcher(
      'benchmark', '--advise', *_TINY[:-1], '--data_dir=/nowhere',
      '--num_steps=1000000000')
  assert process.returncode == 0, process.stderr
  (line,) = process.stdout.splitlines()
  report = json.loads(line)
  step = report['train_step_mean_s']
  assert 0.0 < step < report['first_step_s']
  assert report['measured_batch_size'] == report['batch_size'] == 4
  assert report['num_steps_measured'] * step > 9.0
  np.testing.assert_allclose(
      report['run_hours'] * 3600, report['first_step_s'] + step * (10**9 - 1))
  assert 0.0 < report['peak_memory_gb'] < report['memory_gb']
  # Said to people as well, with what to change.
  assert f'{report["num_parameters"]:,}' in process.stderr
  (warning,) = report['warnings']
  assert process.stderr.splitlines()[-1] == f'Warning: {warning}'
  assert '--num_steps' in warning and '--num_blocks' in warning


@pytest.mark.parametrize('arguments, message', [
    (['--tasks=train,draw'], '--tasks=train,draw: expected one of train, eva'),
    (['--evaluation_estimator=best'], '--evaluation_estimator=best: expected'),
    (['--baseline_json=/nowhere'], 'No such file or directory'),
    (['--num_repeats=1'], '--num_repeats=1: expected 2 or more with the task'),
    (['--min_ceiling_fraction=0.5'],
     '--min_ceiling_fraction=0.5: expected no such flag without --estimator='),
    (['--min_ceiling_fraction=0.5', '--estimator=fixed:4', '--tasks=sample'],
     '--min_ceiling_fraction=0.5: expected no such flag unless --tasks has tr'),
    (['--advise', '--tasks=train'],
     '--tasks=train: expected no such flag with --advise. That measures a run'),
    (['--advise'], '--num_repeats=2: expected no such flag with --advise. T'),
    (['--workdir=/nowhere'], '/nowhere'),
    (['--inputs=/nowhere.npz'], '--inputs=/nowhere.npz: expected')])
def test_bad_input_is_one_line(run_tool, arguments, message):
  result = run_tool('benchmark', *_TINY, *arguments)
  assert result.status == 2
  (line,) = result.stderr.splitlines()
  assert line.startswith('benchmark: error: ') and message in line


def test_a_run_brings_its_own_configuration(run_tool, digits_workdir):
  result = run_tool('benchmark', f'--workdir={digits_workdir}',
                    '--hidden_channels=8')
  assert result.status == 2
  assert result.stderr == (
      'benchmark: error: --hidden_channels=8: expected no such flag with '
      '--workdir. The run has a configuration of its own.\n')
