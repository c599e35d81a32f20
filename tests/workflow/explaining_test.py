"""Columns that make rows odd, of a Gaussian in closed form."""

import numpy as np
import pandas as pd
import pytest

from tests import testing
from tests.evaluation import gaussian_flows
from tf_resflow import models
from tf_resflow import workflow


@pytest.fixture(scope='module', name='flow')
def _flow():
  return gaussian_flows.make_flow('real', 'log', 'integer')


def test_the_column_that_does_not_suit_the_others_is_first(flow):
  """And two are replaced where one does not do; a usual row has none."""
  frame = pd.DataFrame(
      {'c': [11, 10, 300], 'a': [1.0, 9.0, 3.0], 'b': [1.6, 1.5, 40.0],
       'other': 'x'}, index=['usual', 'a', 'b and c'])
  found = workflow.explain(flow, frame)
  assert list(dict.fromkeys(found['row'])) == ['b and c', 'a', 'usual']
  replaced = {
      row: list(lines[lines['replaced'] > 0].sort_values('replaced')['column'])
      for row, lines in found.groupby('row')}
  assert replaced == {'b and c': ['b', 'c'], 'a': ['a'], 'usual': []}
  assert (found.groupby('row')['gain'].diff().fillna(0.0) <= 0.0).all()
  texts = found.groupby('row')['explanation'].first()
  assert 'odd is a 9 (given the others 90% are -1.5' in texts['a']
  assert 'usual would be b 2.19' in texts['b and c']
  assert 'odd' not in texts['usual']
  assert found['is_normalised'].all()
  (line,) = workflow.explain(
      flow, frame, top=1, columns=['a'], max_columns=1).to_dict('records')
  assert (line['column'], line['value'], line['replaced']) == ('a', 3.0, 0)


def test_equally_good_replacements_are_both_named(flow):
  """Of two columns of which either may be wrong."""
  flow = gaussian_flows.make_flow(
      'real', 'real', 'real', lower=np.array(
          [[1.0, 0.0, 0.0], [-9.0, 9.0, 0.0], [0.0, 0.0, 1.0]]))
  (text,) = workflow.explain(flow, gaussian_flows.MEAN + [
      [3.0, -0.45, 0.0]], columns=['a'])['explanation']
  assert 'odd is one of ' in text and 'a 4 (' in text and 'b 0.05 (' in text


def test_scores_have_explanations(flow):
  frame = pd.DataFrame(
      {'a': [9.0, 1.0], 'b': [1.5, 1.6], 'c': [10, 11]}, index=[7, 8])
  scores = workflow.score(flow, frame, explain=1).frame()
  assert scores['odd_columns'].tolist() == ['a', '']
  assert scores['explanation'].str.contains('odd is a 9').tolist() == [
      True, False]


def test_flows_and_arguments_that_have_no_explanation_are_refused(flow):
  row = np.array([[1.0, 1.6, 11.0]])
  testing.check_refusals(lambda options: workflow.explain(
      options.pop('flow', flow), row, **options), [
          ({'columns': ['a', 'z']},
           'columns=z: expected columns of the flow: a, b, c.'),
          ({'level': 1.0}, 'level=1.0: expected a number between 0 and 1.'),
          ({'flow': models.ResidualFlowConfig(
              image_shape=(2, 2, 1), num_blocks=(1,)).build()},
           'flow=one of images: expected one of vectors.'),
          ({'flow': models.VectorFlowConfig(
              event_size=65, num_blocks=1).build()}, 'estimator=adaptive:0.02: '
           'expected exact log-determinants, as of up to 64 columns.'),
          ({'top': 0}, 'top=0: expected a number > 0.')])
  testing.check_refusals(lambda rows: workflow.explain(flow, rows), [
      (rows, f'rows={len(rows)} of them: expected a row without an empty cell.')
      for rows in (np.zeros([0, 3]), np.full([2, 3], np.nan))])


def test_values_that_a_column_cannot_take_are_named_first(flow):
  frame = pd.DataFrame({'a': [1.0], 'b': [-1.6], 'c': [11]})
  lines = workflow.explain(flow, frame).set_index('column')
  assert lines['replaced'].tolist() == [1, 0, 0] and lines.index[0] == 'b'
  assert lines['p_value']['b'] == 0.0 and np.isinf(lines['gain']['b'])
  assert lines['likeliest']['b'] > 0.0 and lines['p_value']['a'] > 0.1
  assert 'odd is b -1.6 (not above 0; given' in lines['explanation']['a']


def test_what_still_is_odd_is_called_so():
  flow = gaussian_flows.make_flow(
      'real', 'real', 'real', lower=np.eye(3))
  (text,) = workflow.explain(
      flow, gaussian_flows.MEAN + [[50.0, 40.0, 30.0]], max_columns=2,
      columns='a')['explanation']
  assert ': better, but still odd, would be b 0.50' in text
