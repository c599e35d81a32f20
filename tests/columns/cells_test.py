"""Cells as numbers, and what is wrong with others."""

import decimal

import numpy as np
import pandas as pd
import pytest

from tf_resflow.columns import cells as cells_lib


def _numbers(cells, dtype=None):
  return cells_lib.numbers(pd.Series(cells, dtype=dtype).rename_axis('row'))


def test_text_of_numbers_is_exact():
  rng = np.random.default_rng(0)
  # All bits at random: also numbers that are very small or large.
  bits = rng.integers(0, 2**63, 2000, dtype=np.uint64)
  expected = bits.view(np.float64)
  expected = expected[np.isfinite(expected)]
  found, _, problem = _numbers([f' {value!r}' for value in expected.tolist()])
  np.testing.assert_array_equal(found, expected)
  assert not problem
  np.testing.assert_array_equal(
    _numbers(['+1', '-.5', '2.', '1E3', '1e20'])[0],
    [1.0, -0.5, 2.0, 1000.0, 1e20])


@pytest.mark.parametrize('cells, dtype', [
  ([1.0, None, 0.0], 'Float64'), ([1, None, 0], object),
  (['1.0', 'NA', ' 0 '], None), ([1.0, None, 0.0], 'category'),
  ([decimal.Decimal('1.0'), None, decimal.Decimal(0)], None),
  ([True, None, False], 'boolean'), (['True', '', 'FALSE'], None)])
def test_types_of_cells(cells, dtype):
  found, is_empty, problem = _numbers(cells, dtype)
  np.testing.assert_array_equal(found, [1.0, np.nan, 0.0])
  assert is_empty.tolist() == [False, True, False] and not problem


@pytest.mark.parametrize('cells, problem', [
  (['1', 'red', '', '1_0'], "holds text such as 'red', '1_0' in rows 1, 3"),
  (['Rome', 'Oslo'] * 20,
   "holds text such as 'Rome', 'Oslo' in rows 0, 1, 2 (40 rows)"),
  (['1', 'true'], "holds text such as 'true' in row 1"),
  (['1', '1,234'], "holds text such as '1,234' in row 1; remove thousands"),
  (['51,031.32'], "holds text such as '51,031.32' in row 0; remove thousands"),
  (['3.4.2023'], "holds text such as '3.4.2023' in row 0; for a date give"),
  ([1 + 2j], 'is complex128; give numbers, for dates such as days'),
  (['1', '-inf', '1e999'], 'is infinite in rows 1, 2'),
  (['9007199254740993', '1'], 'holds integers beyond 2^53, which float64'),
  ([2**60, 1], 'holds integers beyond 2^53, which float64 rounds, in row 0'),
  ([1e20, 1.0], ''), (['', 'nan'], 'is empty'), ([None, np.nan], 'is empty')])
def test_what_is_no_number(cells, problem):
  found = _numbers(cells)[2]
  assert found.startswith(problem) and bool(found) == bool(problem)
