"""Data frames as arguments of flows, and categories."""

import functools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests import schemas
from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import schema as schema_lib

_SCHEMA = schemas.make_schema(
    'x', conditions=[('city', ['Oslo', 'New York']), 'dose', 'a=b'])


_condition_array = functools.partial(rows_lib.condition_array, _SCHEMA)


def _read(frame, *names):
  return rows_lib.read(schemas.make_schema(*names), frame, 'x').x


def test_categories():
  frame = pd.DataFrame({
      'a=b': [3, 4], 'city': ['New York', 'Oslo'], 'dose': [0.5, 1.5]})
  numbers = _condition_array(frame)
  np.testing.assert_array_equal(numbers, [[0, 1, 0.5, 3], [1, 0, 1.5, 4]])
  back = rows_lib.to_frame(_SCHEMA, np.zeros([2, 1]), numbers)
  assert list(back) == ['x', 'city', 'dose', 'a=b']
  assert back['city'].tolist() == ['New York', 'Oslo']
  frame.loc[0, 'city'] = None
  assert np.isnan(_condition_array(frame)[0]).all()
  frame.loc[0, 'city'] = 'Rome'
  assert splits.refusal(_condition_array, frame) == (
      'condition=a data frame: expected a table with the columns city, dose, '
      'a=b. Its column city: holds Rome, not one of Oslo, New York, in row 0.')
  cells = pd.Series(['x', 'y'], dtype=pd.ArrowDtype(
      pa.dictionary(pa.int8(), pa.string())))
  assert rows_lib.condition_array(
      schemas.make_schema(conditions=[('c', ['x', 'y'])]),
      pd.DataFrame({'c': cells})).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_whole_numbers_are_integers_in_frames():
  schema = schemas.make_schema('n', 'y', types=['integer', 'real'])
  frame = rows_lib.to_frame(schema, np.float32([[3, 0.5], [4, 1.5]]))
  assert frame['n'].dtype == np.int64 and frame['y'].tolist() == [0.5, 1.5]
  # So are conditions; what is between two multiples stays.
  schema = schemas.make_schema(
      'n', 'm', types=['integer:0.01', 'integer:25'], conditions=['c', 'd'])
  frame = rows_lib.to_frame(
      schema, np.float32([[0.37, 50], [0.29, 60]]), [[2008, 1.5], [2009, 2.0]])
  assert frame.to_csv(index=False, lineterminator='\n') == (
      'n,m,c,d\n0.37,50,2008,1.5\n0.29,60,2009,2.0\n')


def test_rows_that_are_not_complete_are_kept():
  frame = pd.DataFrame({'x': [1.0, None, 3.0], 'dose': [1, 2, None],
                        'a=b': 0, 'city': 'Oslo'})
  rows = rows_lib.read(_SCHEMA, frame, missing='nan')
  assert rows.is_complete.tolist() == [True, False, False]
  np.testing.assert_array_equal(rows.x[:, 0], [1.0, np.nan, np.nan])
  assert rows.condition[1:].tolist() == [[0.0] * 4] * 2
  np.testing.assert_array_equal(rows.spread(np.array([5.0])), rows.x[:, 0] * 5)
  np.testing.assert_array_equal(
      rows.spread(np.array([[5.0]]), axis=-1), rows.x.T * 5)
  assert len(rows.complete()) == 1 and rows.complete().frame['x'].item() == 1.0
  one = rows_lib.read(_SCHEMA, frame[1:2], missing='nan')  # An empty column.
  assert not one.is_complete.any() and np.isnan(one.x).all()
  assert splits.refusal(rows_lib.read, _SCHEMA, frame).endswith(
      'It has problems:\n  x: is empty in row 1\n  dose: is empty in row 2')


def test_what_is_no_column_of_numbers():
  """Dates, durations, periods and complex numbers, by column name."""
  frame = pd.DataFrame({'a': [1.0, 2.0], 'b': [3.0, 4.0]})
  dates = pd.Series(pd.to_datetime(['2020-01-01', '2020-01-02']))
  for cells, said in (
      (dates, 'datetime64'), (dates.dt.tz_localize('UTC'), 'datetime64'),
      (dates - dates[0], 'timedelta64'), (dates.dt.to_period('M'), 'period'),
      (frame['b'] + 1j, 'complex128')):
    wrong = frame.assign(b=cells)
    with pytest.raises(errors.InvalidValueError, match=(
        'x=a data frame: expected a table with the columns a, b. Its column b: '
        f'is {said}')):
      _read(wrong, 'a', 'b')
    with pytest.raises(errors.InvalidValueError, match=f'b: is {said}'):
      datasets.table(pd.concat([wrong] * 10), condition_on=['b'])
  testing.check_refusals(lambda x: _read(x, 'a', 'b'), [
      (pd.concat([frame, frame[['a']]], axis=1),
       '...Its column a: is the name of 2 columns; rename them.'),
      (frame.assign(b=[1.0, -np.inf]), '...column b: is infinite in row 1.'),
      (frame.assign(b=[1e39, 1.0]),
       '...column b: is beyond the numbers of float32 in row 0.')])
  # Names are text, as in training.
  assert _read(pd.DataFrame([[1, 2]]), '1').tolist() == [[2]]


def test_conditions_of_one_row():
  """As `--condition` takes them: by name, or in order; see the tools."""
  expected = [[0.0, 1.0, 0.5, 3.0]]
  for given in (['New York', 0.5, 3], ('New York', '0.5', '3'),
                {'dose': 0.5, 'a=b': 3, 'city': 'New York'}):
    np.testing.assert_array_equal(_condition_array(given), expected)
  assert _condition_array(expected[0]) is expected[0]
  other = {'city': 'Oslo', 'dose': 1.0, 'a=b': 2}
  for given in ([{'dose': 0.5, 'a=b': 3, 'city': 'New York'}, other],
                [['New York', 0.5, 3], [*other.values()]],
                np.array([['New York', '0.5', '3'], ['Oslo', '1', '2']])):
    np.testing.assert_array_equal(
        _condition_array(given), [*expected, [1.0, 0.0, 1.0, 2.0]])
  np.testing.assert_array_equal(
      _condition_array(
          {'city': ['New York', 'Oslo'], 'dose': 0.5, 'a=b': 3}),
      [*expected, [1.0, 0.0, 0.5, 3.0]])
  testing.check_refusals(_condition_array, [
      ({'city': 'Oslo', 'doze': 0.5, 'a=b': 3}, 'condition=a data frame: '
       'expected ...It has no dose. Did you mean doze?'),
      (['Oslo', 0.5], "condition=['Oslo', 0.5]: expected city, dose, a=b."),
      (['oslo', 0.5, 3], '...city: holds oslo, not one of Oslo, New York, in'),
      (['Oslo', 'x', 3], "...dose: holds text such as 'x' in row 0.")])
  schema = schemas.make_schema('x', conditions=[('c', ['u', 'v'])])
  for given in (['v', 'u', 'u'], np.array(['v', 'u', 'u']),
                pd.Series(['v', 'u', 'u']), {'c': ['v', 'u', 'u']}):
    assert rows_lib.condition_array(schema, given).argmax(axis=1).tolist() == [
        1, 0, 0]
  assert rows_lib.condition_array(schema, 'v').tolist() == [[0.0, 1.0]]
  schema = schemas.make_schema('a', 'b')
  for cells in ({'a': [1, 2], 'b': [1, 2, 3]}, {'a': [[1], [2]], 'b': 1}):
    assert splits.refusal(rows_lib.arrays, schema, cells) == (
        'x=a dict of a, b: expected one cell, or a list of cells, for each '
        'column, lists of one length.')
  assert rows_lib.arrays(
      schema, {'b': np.ones(2), 'a': 3, 'other': 'text'})[0].tolist() == [
          [3.0, 1.0], [3.0, 1.0]]


def test_frames_of_flows_without_names():
  schema = schema_lib.Schema.unnamed(2).with_columns([
      schema_lib.Column(role='condition')])
  frame = pd.DataFrame({'b': [1.0], 'a': [2.0]})
  assert rows_lib.arrays(schema, frame)[0].tolist() == [[1.0, 2.0]]
  column = frame['b']
  assert rows_lib.arrays(schema, column, 3)[0] is column
  rows = rows_lib.read(
      schema, pd.DataFrame({'x1': [1], 'condition': [3], 'x0': [2]}))
  assert (rows.x.tolist(), rows.condition.tolist()) == ([[2.0, 1.0]], [[3.0]])


def test_columns_go_by_name():
  """In all methods of a flow."""
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,), condition_size=2,
      schema=schemas.make_schema('a', 'b', conditions=['c', 'd'])).build()
  rng = np.random.default_rng(0)
  frame = pd.DataFrame(rng.normal(size=[5, 4]), columns=list('abcd'))
  x, condition = frame[['a', 'b']].to_numpy(), frame[['c', 'd']].to_numpy()
  flow.initialize(frame, seed=0)
  expected = flow.log_prob(x, condition, estimator='exact')
  for other in (frame, frame[['d', 'b', 'c', 'a']].assign(more='text'),
                frame.astype(str)):
    for given in ((), (other,), (condition,)):
      np.testing.assert_array_equal(
          flow.log_prob(other, *given, estimator='exact'), expected)
  np.testing.assert_allclose(
      evaluation.evaluate_inputs(flow, frame)['log_prob'], expected, rtol=1e-5)
  for method in (flow.encode, flow.transform):
    np.testing.assert_array_equal(
        method(frame)[0], method(np.float32(x), condition)[0])
  flow.update_statistics(frame)
  assert flow.log_prob(frame[:0], estimator='exact').shape == (0,)
  samples = flow.sample(3, [-0.5, 1.5], seed=0)
  np.testing.assert_array_equal(
      flow.sample(3, {'d': 1.5, 'c': -0.5}, seed=0), samples)
  drawn = flow.sample_frame(3, {'d': 1.5, 'c': -0.5}, seed=0)
  assert list(drawn) == list('abcd') and set(drawn['d']) == {1.5}
  np.testing.assert_array_equal(drawn[['a', 'b']], samples)
  for given in (frame[:3], condition[:3]):
    with pytest.raises(ValueError, match='condition=a batch of 3: expected one '
                       'of 5, as the inputs, or of 1 for all'):
      flow.log_prob(x, given)
  gaps = frame.mask(np.eye(5, 4, dtype=bool))  # One of each row but the last.
  np.testing.assert_array_equal(
      flow.log_prob(gaps, estimator='exact'), [*[np.nan] * 4, expected[4]])
  with pytest.raises(ValueError, match='x=4 examples with NaN or infinity: ex'):
    evaluation.evaluate_inputs(flow, gaps)
  with pytest.raises(ValueError, match='x=a data frame: expected a table with '
                     'the columns a, b. It has no a.'):
    flow.log_prob(frame.drop(columns='a'), condition)
  with pytest.raises(
      ValueError, match="Its column b: holds text such as '3 EUR' in row 4."):
    flow.log_prob(frame.astype(object).replace({'b': {x[4, 1]: '3 EUR'}}))


def test_bad_tables(tmp_path):
  path = tmp_path / 'table.csv'
  schema = schemas.make_schema('a', 'b "c"', 'd,e')

  def read(text):
    path.write_text(text)
    rows_lib.read(schema, path)

  start = f'inputs={path}: expected a table with the columns'
  testing.check_refusals(read, [
      ('a,d\n1,2\n', f'{start}...It has no b "c", d,e.'),
      ('a,"b ""c""","d,e"\n', f'{start}...It has no rows.'),
      ('a,"b ""c""","d,e"\n1,x,2\n3,4,\n', f'{start}...It has problems:\n'
       '  b "c": holds text such as \'x\' in line 2\n  d,e: is empty in')])
