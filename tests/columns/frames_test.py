"""Data frames as arguments of flows, and categories."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.columns import frames


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


def test_what_is_no_column_of_numbers():
  """Dates, durations, periods and complex numbers, by column name."""
  frame = pd.DataFrame({'a': [1.0, 2.0], 'b': [3.0, 4.0]})
  dates = pd.Series(pd.to_datetime(['2020-01-01', '2020-01-02']))
  for cells, said in (
      (dates, 'datetime64'), (dates.dt.tz_localize('UTC'), 'datetime64'),
      (dates - dates[0], 'timedelta64'), (dates.dt.to_period('M'), 'period'),
      (frame['b'] + 1j, 'complex128')):
    wrong = frame.assign(b=cells)
    for names in (['a', 'b'], ['a', 'b=x', 'b=y']):
      with pytest.raises(errors.InvalidValueError, match=(
          'x=a data frame: expected one column of numbers or text called b. b '
          f'is {said}')):
        frames.in_order('x', wrong, names)
    with pytest.raises(errors.InvalidValueError, match=f'b: is {said}'):
      datasets.table(pd.concat([wrong] * 10), condition=['b'])
  testing.check_refusals(lambda x: frames.in_order('x', x, ['a', 'b']), [
      (pd.concat([frame, frame[['a']]], axis=1),
       '...numbers or text called a. a is the name of 2 columns; rename them'),
      (frame.assign(b=[1.0, -np.inf]),
       '...numbers in column b. It has -inf in row 1.'),
      (frame.assign(b=[1e39, 1.0]), '...column b. It has 1e+39 in row 0.')])
  # Names are text, as in training.
  assert frames.in_order('x', pd.DataFrame([[1, 2]]), ['1']).tolist() == [[2]]


def test_conditions_of_one_row():
  """As `--condition` takes them: by name, or in order; see the tools."""
  names = ('city=Oslo', 'city=Rome', 'dose', 'a=b')
  expected = [[0.0, 1.0, 0.5, 3.0]]
  spec = layers.ConditionSpec((4,), names=names)
  for given in (['Rome', 0.5, 3], ('Rome', '0.5', '3'), expected[0],
                {'dose': 0.5, 'a=b': 3, 'city': 'Rome'}):
    np.testing.assert_array_equal(spec.convert(given), expected)
  np.testing.assert_array_equal(
      spec.convert({'city': ['Rome', 'Oslo'], 'dose': 0.5, 'a=b': 3}),
      [*expected, [1.0, 0.0, 0.5, 3.0]])
  testing.check_refusals(spec.convert, [
      ({'city': 'Rome', 'doze': 0.5, 'a=b': 3}, 'condition=a dict of city, doze'
       ', a=b: expected city, dose, a=b. Did you mean dose?'),
      (['Rome', 0.5], "condition=['Rome', 0.5]: expected city, dose, a=b."),
      (['rome', 0.5, 3], '...city is one of Oslo, Rome, not rome.'),
      (['Rome', 'x', 3], "...numbers in column dose. It has 'x' in row 0.")])


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
  assert flow.log_prob(frame[:0], estimator='exact').shape == (0,)
  np.testing.assert_array_equal(
      flow.sample(3, {'d': 1.5, 'c': -0.5}, seed=0),
      flow.sample(3, [-0.5, 1.5], seed=0))
  for given in (frame[:3], condition[:3]):
    with pytest.raises(ValueError, match='condition=a batch of 3: expected one '
                       'of 5, as the inputs, or of 1 for all'):
      flow.log_prob(x, given)
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


def test_a_name_with_an_equals_sign_may_be_a_column():
  names = ['dose', 'a=b', 'city=Oslo', 'city=Rome']
  assert frames.lacking(names, ['dose']) == 'a=b, city'
  assert frames.categories(names, []) == {'city': ['Oslo', 'Rome']}
  numbers = {name: np.array([0.5]) for name in names}
  assert [*frames.collapsed(numbers)] == ['dose', 'a=b', 'city']


def test_categories_of_arrow_are_taken():
  cells = pd.Series(['x', 'y'], dtype=pd.ArrowDtype(
      pa.dictionary(pa.int8(), pa.string())))
  assert frames.in_order(
      'x', pd.DataFrame({'c': cells}), ['c=x', 'c=y']).tolist() == [
          [1.0, 0.0], [0.0, 1.0]]


def test_cells_that_are_no_rows():
  for cells in ({'a': [1, 2], 'b': [1, 2, 3]}, {'a': [[1], [2]], 'b': 1}):
    assert splits.refusal(frames.in_order, 'x', cells, ['a', 'b']) == (
        'x=a dict of a, b: expected one cell, or a list of cells, for each '
        'column, lists of one length.')
  assert frames.in_order(
      'x', {'b': np.ones(2), 'a': 3, 'other': 'text'}, ['a', 'b']).tolist() == [
          [3.0, 1.0], [3.0, 1.0]]
