"""What is given of rows is read, or refused in a line."""

import numpy as np
import pandas as pd
import pytest

from tests.evaluation import gaussian_flows
from tf_resflow import errors
from tf_resflow.workflow import given as given_lib


def test_numbers_intervals_and_gaps():
  """Ends are in what types take: the cells of whole numbers, merged."""
  flow = gaussian_flows.make_flow('real', 'log', 'integer:0.1')
  rows, intervals = given_lib.read(
      flow, {'b': 2.0, 'a': (None, 1.5), 'c': [0.3, 0.1 + 0.2, 0.4, 0.9]})
  np.testing.assert_array_equal(rows.x, [[np.nan, 2.0, np.nan]])
  assert intervals == {0: [[-np.inf, 1.5]], 2: [[3.0, 5.0], [9.0, 10.0]]}
  rows, intervals = given_lib.read(flow, np.array([[1.0, np.nan, 0.2]]))
  np.testing.assert_array_equal(rows.x, [[1.0, np.nan, 0.2]])
  assert not intervals and rows.is_complete.all()


@pytest.mark.parametrize('given, message', [
    ({'d': 1.0}, '^given=d: expected columns of the flow: a, b, c'),
    ({'b': -1.0}, 'b is not above 0 in row 0'),
    ({'c': 3.5}, 'c is not an integer >= 0 in row 0'),
    (pd.DataFrame({'b': [1.0, None, -1.0]}, [4, 5, 6]), 'in row 6'),
    ({'a': 'x'}, '^given=a=x: expected a number'),
    ({'a': 'nan'}, '^given=a=nan: expected a number'),
    (pd.DataFrame({'a': []}), '^given=a table without rows'),
    ({'a': [1.0, 2.0]}, 'two ends .* Lists are for whole numbers'),
    ({'a': (2.0, 1.0)}, '^given=a=.2.0, 1.0.: expected an interval'),
    ({'b': (-5.0, -2.0)}, 'above 0, low < high'),
    ({'c': [-3, 12]}, 'integer >= 0, low < high'),
    ({'c': []}, '^given=c=..: expected a number, '),
    ({'a': ('x', 1.0)}, 'expected a number, ends'),
    (1.0, '^given=a float of shape'),
    ([[1.0, 2.0]], 'expected a dict, a data frame, a path, or')])
def test_bad_values(given, message):
  flow = gaussian_flows.make_flow('real', 'log', 'integer')
  with pytest.raises(errors.InvalidValueError, match=message):
    given_lib.read(flow, given)


def test_rows_to_fill_have_all_columns():
  """A name that is misspelt would be drawn."""
  flow = gaussian_flows.make_flow('real', 'log', 'integer')
  with pytest.raises(errors.InvalidValueError, match='It has no b'):
    given_lib.read(flow, pd.DataFrame({'a': [1.0], 'bb': 1.0, 'c': 2}),
                   name='rows')
  # Another number stands for the cell that it is in.
  rows, _ = given_lib.read(
      flow, pd.DataFrame({'a': [1.0], 'b': 1.0, 'c': 2.5}), name='rows')
  assert rows.x[0, 2] == 2.5
