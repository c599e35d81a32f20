"""Rows of a table are scored by flows that never saw them."""

from unittest import mock

import numpy as np
import pandas as pd
import pytest

from tests import testing
from tf_resflow import errors
from tf_resflow import training
from tf_resflow import workflow
from tf_resflow.workflow import folds

_SHORT = {'num_steps': 2, 'num_blocks': 1, 'hidden_units': (4,),
          'base': 'normal', 'sample_every': 0, 'verbose': False}


@pytest.mark.slow
def test_each_fold_has_the_scores_of_a_flow_of_the_others(tmp_path):
  rng = np.random.default_rng(0)
  frame = pd.DataFrame(
      {'b': rng.normal(size=60), 'who': rng.integers(9, size=60),
       'a': rng.lognormal(size=60)}, [f'r{i}' for i in range(60)])
  frame.loc['r5', 'b'] = 40.0
  options = {'workdir': tmp_path, 'groups': 'who', 'seed': 3, **_SHORT}
  scores = workflow.score_folds(frame, 3, explain=3, **options)
  pd.testing.assert_frame_equal(scores[[*frame]], frame)
  # The persons of a fold are in no other one.
  assert (scores.groupby('who')['fold'].nunique() == 1).all()
  for fold, part in scores.groupby('fold'):
    flow = workflow.load(tmp_path / f'fold{fold}')
    assert flow.schema.names == ('b', 'a')
    known = training.train_rows.read(tmp_path / f'fold{fold}')
    assert not np.isin(training.train_rows.row_hashes(
        part[['b', 'a']].to_numpy(), None), known).any()
    np.testing.assert_allclose(
        part['log_prob'], flow.log_prob(part[['b', 'a']]), rtol=1e-4)
    assert part['rank'].min() == pytest.approx(1 / len(part))
    assert part['rank'].max() == 1.0
  assert scores['rank'].loc['r5'] < 0.1
  assert 'b' in scores['odd_columns'].loc['r5']
  # Finished runs are loaded.
  pd.testing.assert_frame_equal(
      workflow.score_folds(frame, 3, explain=3, **options), scores)


def test_bad_folds():
  frame = pd.DataFrame({'a': range(8), 'who': [*'aabbccd', None]})
  testing.check_refusals(lambda options: workflow.score_folds(
      frame, **options, **_SHORT), [
          ({'folds': 1}, 'folds=1: expected'),
          ({'groups': 'when'}, 'groups=when: expected a column. It has no whe'),
          ({'groups': 'who', 'folds': 2}, 'groups=who has an empty cell in row '
           '7. missing='),
          ({'condition_on': 'who', 'folds': 4}, '...One has d alone, of which'),
          ({'groups': 'who', 'missing': 'drop', 'folds': 6}, 'folds=6: expected'
           ' a number from 2 to 5.')])


@pytest.mark.parametrize('name', ['rank', 'fold', 'log_prob'])
def test_no_column_is_replaced_by_that_of_a_score(name):
  frame = pd.DataFrame(np.zeros([12, 2]), columns=['b', name])
  with pytest.raises(errors.InvalidValueError, match=f'column {name} already'):
    workflow.score_folds(frame, 2, **_SHORT)


def test_any_other_column_is_kept(monkeypatch):
  """The rows are not trained on here, and stand in their own order."""
  frame = pd.DataFrame({'b': np.arange(8.0), 'place': [*'hgfedcba']}, [1] * 8)
  monkeypatch.setattr(folds.fitting, 'fit', lambda *_, **__: None)
  monkeypatch.setattr(folds.scoring, 'score', lambda _, rows, **__: mock.Mock(
      frame=lambda: rows.assign(log_prob=rows['b'])))
  for options in {}, {'groups': 'place', 'columns': frame.columns[:1]}:
    scores = workflow.score_folds(frame, 2, **options)
    pd.testing.assert_frame_equal(scores[[*frame]], frame)
