"""The numbers in columns, exactly, and what is none."""

import datetime
import decimal

import numpy as np
import pandas as pd
import pytest

from tf_resflow.datasets import table_numbers


def _numbers(cells, dtype=None):
  return table_numbers.numbers(
    pd.Series(cells, dtype=dtype).rename_axis('row'))


def test_text_of_numbers_is_exact():
  rng = np.random.default_rng(0)
  # All bits at random: also numbers that are very small or large.
  bits = rng.integers(0, 2**63, 2000, dtype=np.uint64)
  expected = bits.view(np.float64)
  expected = expected[np.isfinite(expected)]
  found = _numbers([f' {value!r}' for value in expected.tolist()])
  np.testing.assert_array_equal(found.values, expected)
  assert found.problem == ''
  np.testing.assert_array_equal(
    _numbers(['+1', '-.5', '2.', '1E3', '9007199254740992']).values,
    [1.0, -0.5, 2.0, 1000.0, 2.0**53])


@pytest.mark.parametrize('cells, dtype', [
  ([1.5, None, 0.0], None), ([1.5, None, 0.0], 'Float64'),
  (['1.5', None, '0'], object), (['1.5', 'NA', ' 0 '], None),
  ([1.5, None, 0], object), ([1.5, None, 0.0], 'category'),
  ([decimal.Decimal('1.50'), None, decimal.Decimal(0)], None)])
def test_columns_of_other_types(cells, dtype):
  found = _numbers(cells, dtype)
  np.testing.assert_array_equal(found.values, [1.5, np.nan, 0.0])
  assert found.is_empty.tolist() == [False, True, False] and not found.problem


@pytest.mark.parametrize('cells, dtype', [
  ([True, None, False], object), ([True, None, False], 'boolean'),
  (['True', '', 'FALSE'], None)])
def test_true_and_false_are_numbers(cells, dtype):
  np.testing.assert_array_equal(
    _numbers(cells, dtype).values, [1.0, np.nan, 0.0])


@pytest.mark.parametrize('cells, problem', [
  (['1', 'red', '', '1_0'], "holds text, 'red' in row 1, '1_0' in row 3"),
  (['Rome', 'Oslo'] * 20, 'holds text with 2 values (Oslo, Rome)'),
  (['2020-01-03', '2020-01-04 10:00'], 'holds dates, '),
  (['3.1.2020'], 'holds dates, '), ([datetime.date(2020, 1, 3)], 'holds dates'),
  (['51,031.32', '1.5', '7 %', '$5'], 'holds numbers with separators or units'),
  (['1', 'true'], "holds text, 'true' in row 1"),
  ([1 + 2j], "holds text, '(1+2j)' in row 0"),
  (['1', '-inf', '1e999'], 'is infinite in rows 1, 2'),
  ([1.0, np.inf], 'is infinite in row 1'),
  (['9007199254740993', '1'], 'holds integers beyond 2^53, which float64'),
  ([2**60, 1], 'holds integers beyond 2^53, which float64 rounds, in row 0'),
  (['', 'nan'], 'is empty'), ([None, np.nan], 'is empty')])
def test_what_is_no_number(cells, problem):
  assert _numbers(cells).problem.startswith(problem)


def test_large_floats_are_no_integers():
  assert not _numbers(['1e20', '1']).problem
  assert not _numbers([1e20, 1.0]).problem
