"""Rows of the training part, p-values, the lowest; and what is not known."""

import shutil
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from tests import splits
from tests.commands import results
from tf_resflow import evaluation
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.commands import score


@pytest.fixture(name='run')
def _run(table_workdir, tmp_path):
  """A run that knows its training rows, and its configuration."""
  workdir = shutil.copytree(table_workdir, tmp_path / 'run')
  config = training.load_config(str(workdir))
  training.train_rows.write(
      str(workdir), config.open_split('train'))
  return workdir, config


def test_scores_of_a_table(run_tool, run, table, tmp_path):
  workdir, config = run
  model, _ = training.workdir.restore_model(str(workdir), dtype='float64')
  test = config.open_split('test').arrays
  held_out = model.log_prob(
      np.float64(test['x']), test['condition'], estimator='exact').numpy()
  _, rows = results.table(table)
  # A row that is far away, and one whose condition is another.
  given = np.concatenate(
      [rows, rows[:1] + [0, 99, 0, 0], rows[:1] + [1, 0, 0, 0]])
  splits.write_table(tmp_path / 'new.csv', 'abcd', given)
  result = run_tool(
      'score', f'--workdir={workdir}', f'--inputs={tmp_path}/new.csv',
      f'--output={tmp_path}/y.csv', '--top=3', '--nocertify')
  report = results.report(result)
  # Nothing is inverted unless one asks for it.
  assert not any('inver' in key or 'lipschitz' in key for key in report)
  names, found = results.table(tmp_path / 'y.csv')
  assert names == [*'abcd', 'log_prob', 'in_training', 'p_value']
  log_prob, in_training, p_value = found[:, 4:].T
  np.testing.assert_allclose(log_prob, model.log_prob(
      given[:, [1, 3]], given[:, [2, 0]], estimator='exact'), rtol=1e-7)
  is_test = np.isin(np.float32(given[:, 1]), test['x'][:, 0])
  train = config.open_split('train').arrays['x']
  np.testing.assert_array_equal(in_training, [
      *np.isin(np.float32(given[:100, 1]), train[:, 0]), False, False])
  np.testing.assert_allclose(p_value[~is_test], [
      (1 + np.sum(held_out <= value)) / 21 for value in log_prob[~is_test]])
  assert p_value[100] == 1 / 21
  # The first of the table is the one that is far away.
  header = next(line for line in result.stderr.splitlines()
                if line.split()[:1] == ['line'])
  assert header.split() == [
      'line', 'b', 'd', 'log_prob', 'in_training', 'p_value']
  lines = result.stderr.splitlines()
  lines = lines[lines.index(header) + 1:][:3]
  # The first line has the names.
  assert [int(line.split()[0]) - 2 for line in lines] == np.argsort(
      log_prob)[:3].tolist()
  assert lines[0].split()[0] == '102'
  assert float(lines[0].split()[1]) == given[100, 1]
  assert float(lines[0].split()[5]) == pytest.approx(1 / 21, rel=1e-5)


def test_a_long_table_is_read_in_parts(
    run_tool, run, table, tmp_path, monkeypatch):
  command = ['score', f'--workdir={run[0]}', f'--inputs={table}', '--top=3',
             '--batch_size=8']
  whole = run_tool(*command, f'--output={tmp_path}/whole.csv')
  monkeypatch.setattr(score, '_PART_SIZE', 24)
  parts = run_tool(*command, f'--output={tmp_path}/parts.csv')
  found = [results.report(result) for result in (parts, whole)]
  assert all(report.pop('rows_per_second') > 0.0 for report in found)
  assert found[0] == found[1]
  assert (tmp_path / 'parts.csv').read_text() == (
      tmp_path / 'whole.csv').read_text()
  assert parts.stderr.splitlines()[:4] == whole.stderr.splitlines()[:4]
  results.report(run_tool(*command, f'--output={tmp_path}/parts.parquet'))
  pd.testing.assert_frame_equal(
      pd.read_parquet(tmp_path / 'parts.parquet').astype(float),
      pd.read_csv(tmp_path / 'parts.csv').astype(float))
  broken = tmp_path / 'broken.csv'
  broken.write_text(table.read_text() + '1,2,three,4\n')
  failed = run_tool(
      *command, f'--inputs={broken}', f'--output={tmp_path}/y.csv')
  assert failed.status == 2
  assert "c: holds text such as 'three' in line 102" in failed.stderr
  assert not [path for path in tmp_path.iterdir() if 'y.csv' in path.name]


def test_explanations(run_tool, run, table, tmp_path):
  """Of the rows of the lowest log p(x): which columns do not suit the others.
  """
  frame = pd.read_csv(table)
  frame.loc[1, 'b'] = 99.0
  frame.to_csv(tmp_path / 'new.csv', index=False)
  result = run_tool(
      'score', f'--workdir={run[0]}', f'--inputs={tmp_path}/new.csv',
      f'--output={tmp_path}/y.csv', '--top=2', '--explain')
  found = pd.read_csv(tmp_path / 'y.csv')
  assert found['odd_columns'][1] == 'b'
  explained = found['explanation'].dropna()
  assert len(explained) == 2 and 'odd is b 99 (given' in explained[1]
  for row, text in explained.items():
    assert f'line {row + 2}: {text}' in result.stderr.splitlines()


def test_verification(run_tool, table_workdir, table):
  report = results.report(run_tool(
      'score', f'--workdir={table_workdir}', f'--inputs={table}', '--verify',
      '--nocertify'))
  assert report['num_examples'] == 100
  assert report['reconstruction_error_max'] < 1e-4


def test_rows_with_empty_cells_keep_their_place(run_tool, run, tmp_path):
  """In a run that leaves them out; otherwise they are an error."""
  workdir, _ = run
  new, scores = tmp_path / 'new.csv', tmp_path / 'y.csv'
  new.write_text(',a,b,c,d\n7,1,5,-1,2\n8,1,,-1,2\n9,,5,-1,2\n10,1,5,-1,2.5\n')
  command = ['score', f'--workdir={workdir}', f'--inputs={new}',
             '--nocertify']
  assert 'b: is empty in line 3\n' in run_tool(*command).stderr
  flags = workdir / 'run.flags'
  flags.write_text(flags.read_text().replace(
      '--missing=error', '--missing=drop'))
  result = run_tool(*command, f'--output={scores}', '--top=5')
  report = results.report(result)
  assert (report['num_examples'], report['num_with_empty_cells']) == (2, 2)
  assert 'note: no score of 2 of 4 rows: a cell is empty in lines 3, 4. F' in (
      result.stderr)
  lines = [line.split(',') for line in scores.read_text().splitlines()]
  # The index still has no name.
  assert lines[0] == ['', *'abcd', 'log_prob', 'in_training', 'p_value']
  assert [line[:3] for line in lines[1:]] == [
      ['7', '1', '5'], ['8', '1', ''], ['9', '', '5'], ['10', '1', '5']]
  assert [line[6] for line in lines[1:]] == ['0', '', '', '0']
  assert [bool(line[5]) for line in lines[1:]] == [True, False, False, True]


def test_what_is_not_known_is_said(
    run_tool, table_workdir, table, tmp_path, monkeypatch):
  """An older run, whose data are gone; in an .npz file."""
  workdir = shutil.copytree(table_workdir, tmp_path / 'run')
  flags = workdir / 'run.flags'
  flags.write_text(flags.read_text().replace(str(table), 'gone.csv'))
  result = run_tool(
      'score', f'--workdir={workdir}', f'--inputs={table}',
      f'--output={tmp_path}/y.npz', '--nocertify')
  results.report(result)
  assert not {'in_training', 'p_value'} & set(
      results.arrays(tmp_path / 'y.npz'))
  assert 'note: no in_training: the run has no train_rows' in result.stderr
  assert 'note: no p_value: the test part of the run is mis' in result.stderr
  assert 'gone.csv' in result.stderr


def test_columns_of_scores_are_refused_at_once(
    run_tool, table_workdir, table, tmp_path, monkeypatch):
  """Where they would stand twice; what is no file, too."""
  new = tmp_path / 'new.csv'
  lines = table.read_text().splitlines()
  new.write_text('\n'.join([
      f'{lines[0]},log_prob,p_value', *(f'{line},0,0' for line in lines[1:])]))
  command = ['score', f'--workdir={table_workdir}', '--nocertify']
  results.report(run_tool(
      *command, f'--inputs={new}', f'--output={tmp_path}/y.npz'))
  monkeypatch.setattr(workflow, 'load', mock.Mock(side_effect=AssertionError))
  results.check_errors(run_tool, 'score', [
      ([f'--inputs={new}', last], f'--inputs={new}: expected a table with the '
       'columns b, d, c, a. It has a column log_prob, p_value already: rename')
      for last in ('--top=3', f'--output={tmp_path}/y.csv')] + [
          (['--inputs=gone.npz'], '--inputs=gone.npz: expected an .npz file, '
           'as numpy.savez writes it. There is no such file.')], *command[1:])


def test_bad_input(run_tool, digits_workdir, tmp_path):
  path = tmp_path / 'x.npz'
  np.savez(path, x=np.zeros([1, 8, 8, 1]))
  results.check_errors(run_tool, 'score', [
      (['--output=x.csv'], '--output=x.csv: expected an .npz file for images'),
      (['--top=3'], '--top cannot be used with images. It'),
      (['--estimator=exact', '--num_repeats=9'],
       '--num_repeats cannot be used with --estimator=exact.'),
  ], f'--workdir={digits_workdir}', f'--inputs={path}')


@pytest.mark.reliability(promise='damaged-train-rows')
def test_damaged_training_rows_cost_no_evaluation(
    run_tool, run, table, tmp_path, monkeypatch):
  workdir, _ = run
  rows = workdir / 'train_rows.npy'
  rows.write_bytes(rows.read_bytes()[:-4])
  monkeypatch.setattr(
      evaluation.likelihood.LogProbs, 'draws',
      mock.Mock(side_effect=AssertionError))
  results.check_errors(run_tool, 'score', [
      ([], f'--workdir={workdir}: expected a train_rows.npy of training. It ')],
                       f'--workdir={workdir}', f'--inputs={table}', '--top=3')
