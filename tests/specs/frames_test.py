"""Data frames as arguments of flows, and categories."""

import numpy as np
import pandas as pd
import pytest

from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.specs import frames


def test_categories():
  names = ['dose', 'city=Oslo', 'city=New York', 'a=b']
  frame = pd.DataFrame({
      'a=b': [3, 4], 'city': ['New York', 'Oslo'], 'dose': [0.5, 1.5]})
  numbers = frames.in_order('condition', frame, names)
  np.testing.assert_array_equal(numbers, [[0.5, 0, 1, 3], [1.5, 1, 0, 4]])
  back = frames.collapsed(dict(zip(names[:3], numbers.T[:3], strict=True)))
  assert list(back) == ['dose', 'city']
  assert back['city'] == ['New York', 'Oslo']
  frame.loc[0, 'city'] = None
  np.testing.assert_array_equal(
      frames.in_order('condition', frame, names)[0], [0.5, np.nan, np.nan, 3])
  frame.loc[0, 'city'] = 'Rome'
  with pytest.raises(ValueError, match='city is one of Oslo, New York, not R'):
    frames.in_order('condition', frame, names)


def test_columns_are_no_frames():
  frame = pd.DataFrame({'a': [1.0, 2.0], 'b': [0, 1]})
  column = frame['b']
  assert frames.is_frame(frame) and not frames.is_frame(column)
  assert frames.in_order('condition', column, ['b']) is column


def test_columns_go_by_name():
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,), column_names=('a', 'b'),
      condition_size=2, condition_names=('c', 'd'), condition_mean=(0.0, 0.0),
      condition_std=(1.0, 1.0)).build()
  rng = np.random.default_rng(0)
  frame = pd.DataFrame(rng.normal(size=[5, 4]), columns=list('abcd'))
  x, condition = frame[['a', 'b']].to_numpy(), frame[['c', 'd']].to_numpy()
  flow.initialize(x, condition, seed=0)
  expected = flow.log_prob(x, condition, estimator='exact')
  for other in (frame, frame[['d', 'b', 'c', 'a']].assign(more='text'),
                frame.astype(str)):
    for given in ((), (other,), (condition,)):
      np.testing.assert_array_equal(
          flow.log_prob(other, *given, estimator='exact'), expected)
  np.testing.assert_allclose(
      evaluation.evaluate_inputs(flow, frame)['log_prob'], expected, rtol=1e-5)
  np.testing.assert_array_equal(flow.encode(frame), flow.encode(x, condition))
  gaps = frame.mask(np.eye(5, 4, dtype=bool))  # One of each row but the last.
  np.testing.assert_array_equal(
      flow.log_prob(gaps, estimator='exact'), [*[np.nan] * 4, expected[4]])
  with pytest.raises(ValueError, match='x=4 examples with NaN or infinity: ex'):
    evaluation.evaluate_inputs(flow, gaps)
  with pytest.raises(ValueError, match='x=a data frame: expected one with a, '
                     'b. It has no a.'):
    flow.log_prob(frame.drop(columns='a'), condition)
  with pytest.raises(ValueError, match="x=a data frame: expected numbers in col"
                     "umn b. It has '3 EUR' in row 4."):
    flow.log_prob(frame.astype(object).replace({'b': {x[4, 1]: '3 EUR'}}))
