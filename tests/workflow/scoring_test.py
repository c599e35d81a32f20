"""Rows of a file, a frame or an array have one score; a file is read once."""

import builtins
import os
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from tests import testing
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
      evaluation, 'evaluate_inputs', mock.Mock(side_effect=AssertionError))
  testing.check_refusals(lambda rows: workflow.score(flow, rows, **_FAST), [
      (pd.read_csv(table).assign(in_training=1), 'inputs=a data frame: ...It '
       'has a column in_training already: rename it, or leave it out.')])
  unconditional = models.VectorFlowConfig(event_size=2, num_blocks=1).build()
  testing.check_refusals(
      lambda rows: workflow.score(unconditional, rows, **_FAST), [
          (rows, 'rows=0 of them: expected a row without an empty cell.')
          for rows in (np.zeros([0, 2]), pd.DataFrame({'x0': [], 'x1': []}))])


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
