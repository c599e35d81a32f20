"""bin/benchmark: its JSON, its ratios and what it refuses."""

import math

import numpy as np
import pytest

from tests.commands import results
from tf_resflow import benchmarking
from tf_resflow import numerics

_TINY = [
    '--dataset=digits', '--num_blocks=1', '--hidden_channels=4',
    '--num_dense_blocks=0', '--batch_size=4']
_VALUES = {
    'train_step_s': 0.5, 'evaluate_s': 3.0, 'ceiling_fraction': 0.25,
    'sample_residual_max': math.nan}


@pytest.fixture(name='asked')
def _asked(monkeypatch):
  """What processes would have been asked; each reports some of `_VALUES`."""
  asked = []

  def measure(command, task):
    asked.append((command, task))
    return {name: value for name, value in _VALUES.items() if (
        name == 'evaluate_s') == (task == 'evaluate')}

  monkeypatch.setattr(benchmarking.report, 'measure', measure)
  return asked


def test_one_json_line_and_ratios(run_tool, asked, tmp_path):
  peer = tmp_path / 'peer.json'
  peer.write_text('{"train_step_s": 2.0}')
  arguments = [
      *_TINY, '--tasks=train,evaluate', f'--baseline_json={peer}',
      '--num_repeats=2', '--estimator=fixed:4']
  result = run_tool('benchmark', *arguments)
  assert results.report(result) == {
      'batch_size': 4, 'estimator': 'fixed:4', **_VALUES,
      'sample_residual_max': None}
  commands, tasks = zip(*asked, strict=True)
  assert all(c[-len(arguments):] == arguments for c in commands)
  assert tasks == ('train', 'evaluate')
  assert 'Measuring train ...\nMeasuring evaluate ...\n' in result.stderr
  (row,) = [r for r in result.stderr.splitlines()
            if r.startswith('train_step_s')]
  assert row.split()[-3:] == ['0.5', '2', '0.250']


def test_what_a_process_measures(
    run_tool, digits_workdir, monkeypatch, tmp_path):
  seen = []

  def measure(settings, start_time):
    seen.append(settings)
    return {'sample_s': math.nan}

  for task in ('sample', 'run'):
    monkeypatch.setitem(benchmarking.tasks.TASKS, task, measure)
  np.savez(tmp_path / 'x.npz', x=np.full([4, 8, 8, 1], 0.5))
  result = run_tool(
      'benchmark', *_TINY, '--worker=sample', f'--inputs={tmp_path}/x.npz',
      '--evaluation_estimator=fixed:22', '--tolerance=1e-3', '--seed=5',
      '--num_repeats=7')
  # The process that started this one tells NaN from nothing.
  assert result.stdout == '{"sample_s": NaN}\n'
  run_tool('benchmark', *_TINY, '--worker=run')
  run_tool('benchmark', f'--workdir={digits_workdir}', '--batch_size=2',
           '--worker=sample')
  first, run, stored = seen
  assert (first.num_repeats, first.tolerance, first.config.run.seed,
          first.workdir) == (7, 1e-3, 5, None)
  assert first.estimator == numerics.FixedTruncation(22)
  np.testing.assert_array_equal(first.images, np.full([4, 8, 8, 1], 0.5))
  assert run.config.optimizer.batch_size == 4
  assert (run.estimator, run.images) == (None, None)
  # A run brings its own configuration.
  assert stored.workdir == str(digits_workdir)
  assert stored.config.model.hidden_channels == 4
  assert stored.config.optimizer.batch_size == 2


def test_a_program_of_a_step(run_tool, monkeypatch, tmp_path):
  monkeypatch.setattr(
      benchmarking.programs, 'write_program', lambda settings, prefix: {
          'prefix': prefix, 'size': settings.config.optimizer.batch_size})
  (tmp_path / 'step.npz').write_text('of an earlier call')
  assert results.report(run_tool(
      'benchmark', *_TINY, f'--program={tmp_path}/step')) == {
          'prefix': f'{tmp_path}/step', 'size': 4}


def test_advice(run_tool, asked, monkeypatch):
  """What a run takes, without its data set; said to people as well."""
  monkeypatch.setattr(benchmarking.report, 'advise', lambda config, values: {
      'num_steps': config.optimizer.num_steps, 'run_hours': 0.12345,
      'left_out': ['samples'], 'warnings': ['It is long.'], **values})
  result = run_tool('benchmark', '--advise', *_TINY, '--data_dir=/nowhere',
                    '--num_steps=1000000')
  assert results.report(result)['run_hours'] == 0.12345
  ((_, task),) = asked
  assert task == 'run'
  lines = result.stderr.splitlines()
  assert [line.split() for line in lines[1:3]] == [
      ['num_steps', '1,000,000'], ['run_hours', '0.1235']]
  assert lines[-2:] == ['To be added: samples.', 'Warning: It is long.']


def test_bad_input(run_tool, digits_workdir):
  results.check_errors(run_tool, 'benchmark', [
      (['--num_repeats=1'], '--num_repeats=1: expected 2 or more with the tas'),
      (['--advise', '--tasks=train'], '--tasks cannot be used with --advise.'),
      (['--program=/nowhere/step'], '--program=/nowhere/step: expected a'),
      (['--program=step', '--tasks=train'], '--tasks cannot be used with --pr'),
      (['--program=step', '--baseline_json=/nowhere'],
       '--baseline_json cannot be used with --program.'),
      ([f'--workdir={digits_workdir}'], '--dataset cannot be used with --work'),
  ], *_TINY)
