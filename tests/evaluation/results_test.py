"""Results are tables for people, columns of a frame, arrays of a file."""

import numpy as np
import pandas as pd
import pytest

from tests.commands import results as results_lib
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models

_SCORES = {'log_prob': np.array([0.5, -1.0]), 'log_prob_stderr': np.ones(2),
           'z': np.zeros(2), 'log_det_repeats': np.zeros([8, 2])}


def _results(cells=None, **arrays):
  return evaluation.Results(
      numbers={}, arrays=arrays, cells_fn=cells if cells is None else
      lambda: [cells])


def test_numbers_and_notes_are_added():
  first = evaluation.Results(numbers={'b': 1}, arrays={'x': 2}, notes=('one',))
  more = first.extended({'c': 3}, {'x': 4, 'y': 5}, ['two'], first={'a': 0})
  assert list(more.report().items()) == [('a', 0), ('b', 1), ('c', 3)]
  assert (more.arrays, more.notes) == ({'x': 4, 'y': 5}, ('one', 'two'))
  assert first.report() == {'b': 1}


def test_format_table():
  table = evaluation.results.format_table(
      {'bits_per_dim': 2.0 / 3.0, 'num_examples': 360, 'nothing': None,
       'bits_per_dim_stderr': 0.25},
      [models.LipschitzReport(
          'block_0', 0.98, 0.91234567, 0.95, ('dft', 'gram')),
       models.LipschitzReport('b', 0.5, None, None, ()), *(
           models.LipschitzReport('c', 0.5, 0.4, 0.4, ('closed',), order)
           for order in (np.inf, 2.345, np.nan, None))], notes={
              'bits_per_dim': '(17 levels)'})
  lines = table.splitlines()
  assert lines[0].split()[:5] == [
      'block', 'product', 'of', 'norms', 'certificate']
  assert [line.split() for line in lines[1:3]] == [
      ['block_0', '0.912346', '0.950000', 'l_2', 'dft,', 'gram'],
      ['b', 'unknown', 'uncertified', 'l_2']]
  assert [line.split()[3] for line in lines[3:7]] == [
      'l_inf', 'l_2.35', 'none', 'any']
  # What a reader looks for stands last.
  assert lines[7:] == [
      '', 'bits_per_dim         0.666667 (17 levels)',
      'num_examples         360', 'nothing              not computed',
      'bits_per_dim_stderr  0.25']
  # A table has the numbers of reports in a report.
  table = evaluation.results.format_table(
      {'split': 'test', 'runs': {'a/b': {'step': 3, 'bias': -0.25}}})
  assert table.splitlines() == [
      'split          test', 'runs.a/b.step  3', 'runs.a/b.bias  -0.25']


def test_columns_of_a_frame():
  assert list(_results(**_SCORES).frame()) == ['log_prob', 'log_prob_stderr']
  exact = _SCORES | {'log_det_repeats': np.zeros([1, 2]), 'p_value': np.ones(2)}
  assert list(_results(**exact).frame()) == ['log_prob', 'p_value']


def test_columns_behind_those_of_a_table(tmp_path):
  """Cells stay as they are, also those without a name; integers integers."""
  path = tmp_path / 'scores.csv'
  cells = pd.DataFrame({
      'Unnamed: 0': ['7', '8'], 'd,e': ['01.50', None], 'n': [2, 3],
      'tiny': [0.1, 1e-300]})
  _results(cells, log_prob=[0.1, 2.0], in_training=[1, np.nan],
           ).write(path)
  assert path.read_text() == (
      ',"d,e",n,tiny,log_prob,in_training\n7,01.50,2,0.1,0.1,1\n'
      '8,,3,1e-300,2.0,\n')
  assert list(cells) == ['Unnamed: 0', 'd,e', 'n', 'tiny']
  with pytest.raises(errors.InvalidValueError, match='column p_value already'):
    _results(pd.DataFrame({'p_value': [1]}), log_prob=[0.0],
             p_value=[1.0]).frame()
  _results(**_SCORES).write(tmp_path / 'x.npz')
  assert results_lib.arrays(tmp_path / 'x.npz').keys() == _SCORES.keys()


def test_the_lowest_rows():
  cells = pd.DataFrame(
      {name: [10, 20, 30] for name in 'abcd'},
      pd.Index([2, 5, 6], name='line'))
  lines = _results(cells, log_prob=[3.0, np.nan, -1.5]).lowest(
      5, ['d', 'b', 'c']).splitlines()
  assert [line.split() for line in lines] == [
      ['line', 'b', 'c', 'd', 'log_prob'], ['6', '30', '30', '30', '-1.5'],
      ['2', '10', '10', '10', '3']]
  lines = _results(log_prob=[3.0, 2.0]).lowest(1).splitlines()
  assert [line.split() for line in lines] == [['row', 'log_prob'], ['2', '2']]
