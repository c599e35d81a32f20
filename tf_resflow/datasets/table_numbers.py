"""The numbers in a column of a table, and what else it holds."""

import functools
import re
from typing import Any, NamedTuple

import numpy as np

from tf_resflow.datasets import table_files

# Largest integer up to which float64 has all of them.
_MAX_INTEGER = 2**53
_MAX_NAMED_VALUES = 10
_MAX_SHARE_OF_VALUES = 0.1
# Kinds of text, by what all of it matches.
_KINDS = {
  'dates': r'[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*|[0-9]{1,2}[./-][0-9]{1,2}[./-]'
           r'[0-9]{2,4}.*',
  'numbers with separators or units':
    r"[^\w\s]?\s?[+-]?[0-9][0-9.,' ]*\s?(?:%|[^\W\d]{1,5})?"}


class Numbers(NamedTuple):
  """The numbers in a column.

  Attributes:
    values: Float64 `[N]`, NaN where there is none.
    is_empty: Cells without anything, bool `[N]`. Also empty are NA, NaN, null
      and the like.
    problem: Description of other cells; empty if all have finite numbers.
  """

  values: np.ndarray
  is_empty: np.ndarray
  problem: str


def numbers(cells: Any) -> Numbers:
  """Returns the numbers in a column of `table_files.read_frame`.

  Text of a number is that number, exactly as Python reads it, with a decimal
  point and without thousands separators; true and false are 1 and 0.

  Args:
    cells: A `pandas.Series`, `[N]`.

  Example:
    >>> import pandas as pd
    >>> numbers(pd.Series(['1.5', '', '12 kg']).rename_axis('row')).problem
    "holds numbers with separators or units, '12 kg' in row 2"
  """
  import pandas as pd

  if isinstance(cells.dtype, pd.CategoricalDtype):
    cells = cells.astype(object)
  cells = cells.infer_objects()
  if pd.api.types.is_numeric_dtype(cells) and not (
    pd.api.types.is_complex_dtype(cells)):
    values = cells.to_numpy(np.float64, na_value=np.nan)
    is_large = np.full(len(cells), pd.api.types.is_integer_dtype(cells)) & (
      ((cells > _MAX_INTEGER) | (cells < -_MAX_INTEGER)).to_numpy(
        bool, na_value=False))
    is_empty, is_text = np.isnan(values), np.zeros(len(cells), bool)
    text = cells
  else:
    text = cells if pd.api.types.is_string_dtype(cells) else cells.map(
      str, na_action='ignore')
    text = text.fillna('').astype(str).str.strip()
    values, is_empty, is_text, is_large = _parsed(text)
  problems = [f'holds {_kind(text, is_text)}'] if is_text.any() else []
  for mask, what in (
    (np.isinf(values), 'is infinite'),
    (is_large, 'holds integers beyond 2^53, which float64 rounds,')):
    if mask.any():
      problems.append(f'{what} {table_files.places(cells.index, mask)}')
  if is_empty.all() and len(cells):
    problems.append('is empty')
  return Numbers(values, is_empty, ', and '.join(problems))


@functools.cache
def _null_values():
  # pandas has no public list of its own.
  from pyarrow import csv
  return csv.ConvertOptions().null_values


def _parsed(text):
  """Returns values, and masks of empty cells, text and large integers."""
  is_empty = text.isin(_null_values()).to_numpy(bool)
  is_number = _matches(text, f'{table_files.NUMBER}|[+-]?inf(?:inity)?')
  truth = text[~is_number & ~is_empty].str.lower().map(
    {'true': '1', 'false': '0'})
  if not is_number.any() and truth.notna().all():
    text, is_number = truth.reindex(text.index), ~is_empty
  values = np.full(len(text), np.nan)
  # By Python's float, the only one that is exact.
  values[is_number] = text[is_number].to_numpy(object).astype(np.float64)
  is_large = np.abs(values) >= _MAX_INTEGER
  is_large[is_large] = [
    re.fullmatch('[+-]?[0-9]+', cell) and abs(int(cell)) > _MAX_INTEGER
    for cell in text[is_large]]
  return values, is_empty, ~is_number & ~is_empty, is_large


def _matches(text, pattern):
  return text.str.fullmatch(pattern, case=False).to_numpy(bool)


def _kind(text, is_text):
  """Describes cells that hold text."""
  found = text[is_text]
  unique = found.drop_duplicates()
  kind = next((kind for kind, pattern in _KINDS.items()
               if unique.str.fullmatch(pattern).all()), 'text')
  few = min(_MAX_NAMED_VALUES, _MAX_SHARE_OF_VALUES * len(found))
  if kind == 'text' and 1 < len(unique) <= few:
    names = ', '.join(_shortened(name) for name in sorted(unique))
    return f'text with {len(unique)} values ({names})'
  shown = ', '.join(f'{_shortened(cell)!r} in {text.index.name} {place}'
                    for place, cell in found.iloc[:3].items())
  return f'{kind}, {shown}' + (
    f', ... ({len(found):,} rows)' if len(found) > 3 else '')


def _shortened(cell):
  return cell if len(cell) <= 30 else f'{cell[:27]}...'
