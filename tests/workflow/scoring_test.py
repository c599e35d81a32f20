"""Rows of a file, a frame or an array have one score; a file is read once."""

import builtins
import os
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from tests import flows
from tests import testing
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import workflow

_FAST = {'certify': False, 'diagnose': False}


@pytest.fixture(scope='module', name='flow')
def _flow(table_workdir):
  return workflow.load(table_workdir, dtype='float64')


def test_a_file_a_frame_and_arrays_are_scored_alike(flow, table):
  frame = pd.read_csv(table)
  expected = flow.log_prob(frame, estimator='exact')
  x, condition = (frame[list(names)].to_numpy() for names in ('bd', 'ca'))
  for found in (
      workflow.score(flow, table, **_FAST),
      workflow.score(flow, frame[[*'dcba']], **_FAST),
      workflow.score(flow, x, condition=condition, **_FAST)):
    np.testing.assert_allclose(found.arrays['log_prob'], expected, rtol=1e-6)
    np.testing.assert_allclose(
        found.frame()[[*'abcd']].astype(float), frame, rtol=1e-6)
    assert found.report()['nats'] == pytest.approx(-np.mean(expected))
  assert list(found.frame()) == [*'abcd', 'log_prob']


def test_rows_with_scores_are_refused_at_once(flow, table, monkeypatch):
  monkeypatch.setattr(
      evaluation.likelihood.LogProbs, 'draws',
      mock.Mock(side_effect=AssertionError))
  testing.check_refusals(lambda rows: workflow.score(flow, rows, **_FAST), [
      (pd.read_csv(table).assign(in_training=1), 'inputs=a data frame: ...It '
       'has a column in_training already: rename it, or leave it out.')])
  unconditional = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
  testing.check_refusals(
      lambda rows: workflow.score(unconditional, rows, **_FAST), [
          (rows, 'rows=0 of them: expected a row without an empty cell.')
          for rows in (np.zeros([0, 2]), pd.DataFrame({'x0': [], 'x1': []}))])


@pytest.mark.parametrize('score', [workflow.score, evaluation.evaluate_inputs])
def test_levels_of_images_are_no_numbers_in_the_unit_interval(score):
  flow = flows.make_flow_without_blocks(num_levels=2)
  with pytest.raises(errors.InvalidValueError, match='^x=uint8: expected flo'):
    score(flow, np.ones([3, 4, 4, 1], np.uint8))


def test_masks_are_not_lost(flow):
  x = np.ma.masked_greater(np.arange(8.0).reshape([4, 2]), 5.0)
  for use in (lambda: workflow.score(flow, x), lambda: flow.log_prob(x),
              lambda: datasets.array(x)):
    with pytest.raises(errors.InvalidValueError, match='masked array'):
      use()


def test_a_file_is_opened_once(flow, table, tmp_path, monkeypatch):
  opened, original = [], builtins.open

  def counting(file, *args, **kwargs):
    opened.append(file)
    return original(file, *args, **kwargs)

  path = tmp_path / 'new.csv'
  path.write_text(table.read_text())
  monkeypatch.setattr(builtins, 'open', counting)
  results = workflow.score(flow, path, **_FAST)
  results.lowest(3)
  results.write(tmp_path / 'scores.csv')
  assert [os.fspath(file) for file in opened].count(os.fspath(path)) == 1


def test_gaps_of_a_frame_have_no_scores(flow, table):
  """The index of the frame names them."""
  frame = pd.read_csv(table)[:4].set_index(pd.Index([*'pqrs']))
  frame.loc['q', 'b'] = np.nan
  # A run on the file itself refuses them.
  testing.check_refusals(lambda rows: workflow.score(flow, rows, **_FAST), [
      (frame, 'inputs=a data frame: expected a table with the columns b, d, c, '
       'a. ...b: is empty in row q')])
  free = models.VectorFlowConfig(event_size=2, num_blocks=1, schema={
      'columns': [{'name': 'a'}, {'name': 'b'}]}).build()
  results = workflow.score(free, frame)
  assert np.isnan(results.arrays['log_prob']).tolist() == [
      False, True, False, False]
  assert results.report()['num_with_empty_cells'] == 1
  assert results.notes == (
      'note: no score of 1 of 4 rows: a cell is empty in row q. Fill these '
      'cells, or train without their columns.',)
  assert results.frame().index.tolist() == [*'pqrs']


@pytest.fixture(scope='module')
def gaussian():
  """A flow of 1,000 rows of two columns, of which 300 were held out."""
  return workflow.fit(
      _draws(1000), test=0.3, num_steps=2, num_blocks=1, hidden_units=(4,),
      base='normal', refit=False, sample_every=0, evaluate_at_end=False,
      verbose=False)


def _draws(num_rows, seed=0):
  return pd.DataFrame(np.random.default_rng(seed).normal(
      size=[num_rows, 2]), columns=['a', 'b'])


def test_marked_rows_are_those_of_benjamini_and_hochberg(gaussian):
  """Of new rows alone; copies of training rows calibrate nothing."""
  rows = pd.concat([_draws(1000), _draws(270, 1), _draws(30, 2) + 7.0])
  found = workflow.score(gaussian, rows, fdr=0.1, certify=False)
  frame = found.frame()
  assert frame['p_value'].isna().tolist() == [True] * 1000 + [False] * 300
  held_out = gaussian.run.open('test').arrays['x'].numpy()
  calibration = gaussian.score_samples(held_out)
  p = (1 + np.sum(calibration <= frame['log_prob'].to_numpy(float)[
      1000:, np.newaxis] + 1e-4, axis=1)) / 301
  np.testing.assert_allclose(frame['p_value'][1000:].astype(float), p)
  least = [i for i, value in enumerate(np.sort(p), 1) if value <= 0.1 * i / 300]
  expected = p <= np.sort(p)[max(least) - 1]
  assert frame['odd'][1000:].tolist() == expected.tolist()
  assert expected[-30:].all() and expected.sum() < 40
  report = found.report()
  assert (report['num_tested'], report['num_odd']) == (300, expected.sum())
  assert [note[:25] for note in found.notes] == [
      f'note: {expected.sum()} of 300 rows are '[:25],
      'note: 1000 rows have no p_'[:25]]


@pytest.mark.slow
def test_held_out_rows_that_may_differ_are_named(tmp_path):
  """Of a frame, whose options a run does not have, also when it is loaded."""
  flow = workflow.fit(
      _draws(1000), tmp_path / 'run', test_rows='last', num_steps=2,
      num_blocks=1, hidden_units=(4,), base='normal', refit=False,
      verbose=False)
  for each in flow, workflow.load(tmp_path / 'run'):
    notes = workflow.score(each, _draws(30, 1), fdr=0.1, certify=False).notes
    assert notes[-1].endswith('held-out ones, which test_rows=last chose?')


def test_rates_that_too_few_held_out_rows_cannot_keep_are_refused(
    gaussian):
  rows = _draws(300, 1)
  testing.check_refusals(
      lambda options: workflow.score(gaussian, rows, **options), [
          ({'fdr': 0.01}, 'fdr=0.01: expected at least 1999 held-out rows, not '
           '300. Of so few it would mark more than one in 20, or none.'),
          ({'fdr': 1.0}, 'fdr=1.0: expected a number between 0 and 1.'),
          ({'fdr': 0.1, 'diagnose': False}, 'fdr=0.1 requires vectors')])
  loaded = workflow.load(gaussian.run.workdir)
  with pytest.raises(errors.InvalidValueError, match='has not kept the frame'):
    workflow.score(loaded, rows, fdr=0.1)
  with pytest.raises(errors.InvalidValueError, match='has no row to test'):
    workflow.score(gaussian, _draws(1000), fdr=0.1)


@pytest.mark.parametrize('suffix', ['csv', 'parquet'])
def test_parts_of_a_file_are_scored_like_all_of_it(gaussian, tmp_path, suffix):
  """Training rows, and a rate of errors over all parts, among them."""
  path = tmp_path / f'rows.{suffix}'
  rows = pd.concat([_draws(1000)[:30], _draws(77, 1), _draws(3, 2) + 7.0])
  rows = rows.assign(name=[f'{i:03d}' for i in range(110)], empty=None)
  getattr(rows, f'to_{suffix}')(path, index=False)
  found = [workflow.score(gaussian, path, fdr=0.1, certify=False, batch_size=8,
                          **options) for options in ({}, {'part_size': 20})]
  whole, parts = found
  assert [len(frame) for frame in parts.frames()] == [20] * 5 + [10]
  assert parts.report() == whole.report() and parts.notes == whole.notes
  assert parts.report()['num_in_training'] > 0
  assert parts.lowest(5) == whole.lowest(5)
  for results, name in zip(found, 'ab', strict=True):
    results.write(tmp_path / f'{name}.csv')
  assert (tmp_path / 'a.csv').read_text() == (tmp_path / 'b.csv').read_text()
  assert {*parts.arrays} == {
      'log_prob', 'nats', 'in_training', 'p_value', 'odd'}


def test_gaps_in_parts_have_no_scores(tmp_path):
  flow = models.VectorFlowConfig(event_size=2, num_blocks=1, schema={
      'columns': [{'name': 'a'}, {'name': 'b'}]}).build()
  rows = _draws(9)
  rows.loc[[1, 3, 4, 5], 'b'] = np.nan
  rows.to_csv(tmp_path / 'rows.csv', index=False)
  whole, parts = (workflow.score(
      flow, tmp_path / 'rows.csv', batch_size=1, **options)
                  for options in ({}, {'part_size': 3}))
  assert len([*parts.frames()]) == 3  # Of the second one all have a gap.
  pd.testing.assert_frame_equal(parts.frame(), whole.frame())
  assert parts.notes == whole.notes and 'in lines 3, 5, 6 (4' in parts.notes[0]


def test_files_that_change_while_they_are_scored_are_not_written(
    gaussian, tmp_path):
  path = tmp_path / 'rows.csv'
  for num_rows in (4, 9):
    _draws(6).to_csv(path, index=False)
    found = workflow.score(gaussian, path, part_size=2, batch_size=2)
    _draws(num_rows).to_csv(path, index=False)
    with pytest.raises(errors.InvalidValueError, match='have changed since'):
      found.write(tmp_path / 'scores.csv')
  assert os.listdir(tmp_path) == ['rows.csv']
  testing.check_refusals(
      lambda options: workflow.score(gaussian, path, part_size=2, **options), [
          (options, 'part_size=2 cannot be used with explain or verify')
          for options in ({'explain': 1}, {'verify': True})])
