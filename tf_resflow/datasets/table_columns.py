"""The numbers in columns of tables, and one message of all their problems."""

from collections.abc import Sequence
import shlex
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.specs import spec

NUMBER = r'[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?'
# Integers above it are not all in float64.
_MAX_INTEGER = 2**53
_MAX_COLUMNS = 30


def places(index: Any, mask: np.ndarray) -> str:
  """Describes the rows of a mask, such as 'in lines 36, 77, 80 (12 rows)'.

  Args:
    index: Index of a frame of `table_files.read_frame`, `[N]`.
    mask: Bool `[N]`.
  """
  found = index[mask]
  noun = f'{index.name}{"s" * (len(found) > 1)}'
  more = f' ({len(found):,} rows)' if len(found) > 3 else ''
  return f'in {noun} {", ".join(map(str, found[:3]))}{more}'


def numbers(cells: Any) -> tuple[np.ndarray, np.ndarray, str]:
  """Returns the numbers in a column of `table_files.read_frame`.

  Text of a number is that number, exactly as Python reads it, with a decimal
  point and without thousands separators; true and false are 1 and 0.

  Args:
    cells: A `pandas.Series`, `[N]`.

  Returns:
    Float64 `[N]`, NaN where there is none; bool `[N]`, the empty cells, as are
    NA, NaN, null and the like; and a description of what else it holds, empty
    if that is finite numbers.

  Example:
    >>> import pandas as pd
    >>> numbers(pd.Series(['1.5', '', '12 kg']).rename_axis('row'))[2]
    "holds text such as '12 kg' in row 2"
  """
  import pandas as pd
  from pyarrow import csv

  problem = ''
  if pd.api.types.is_any_real_numeric_dtype(cells):
    values = cells.to_numpy(np.float64, na_value=np.nan)
    is_empty: Any = np.isnan(values)
    is_integer: Any = pd.api.types.is_integer_dtype(cells)
  else:
    text = cells.astype('str').fillna('').str.strip()
    # pandas has no public list of its own.
    is_empty = text.isin(csv.ConvertOptions().null_values).to_numpy(bool)
    lower = text.str.lower()
    if lower[~is_empty].isin(['true', 'false']).all():
      text = lower.replace({'true': '1', 'false': '0'})
    is_number = text.str.fullmatch(
      f'{NUMBER}|[+-]?inf(?:inity)?', case=False).to_numpy(bool)
    # By Python's float, the only one that is exact.
    values = text.where(is_number, 'nan').to_numpy(object).astype(np.float64)
    is_integer = text.str.fullmatch('[+-]?[0-9]+').to_numpy(bool)
    is_text = ~is_number & ~is_empty
    if is_text.any():
      shown = ', '.join(
        repr(cell[:30]) for cell in text[is_text].drop_duplicates().iloc[:3])
      problem = f'holds text such as {shown} {places(cells.index, is_text)}'
  for mask, what in (
    (np.isinf(values), 'is infinite'),
    (is_integer & (np.abs(values) >= _MAX_INTEGER),
     'holds integers beyond 2^53, which float64 rounds,')):
    if mask.any():
      problem += f'{"; " * bool(problem)}{what} {places(cells.index, mask)}'
  if is_empty.all() and len(cells):
    problem = 'is empty'
  return values, is_empty, problem


class Problems:
  """Collects the problems of a table.

  Attributes:
    where: Which file following problems are in, if not the first.
    dropped: Names of columns that have to be left out.

  Args:
    drop: Names of columns that are already left out.
    options: Advised as 'flags' or 'arguments'; empty for none.

  Example:
    >>> problems = Problems()
    >>> problems.add('age', 'is empty in line 7', 'missing')
    >>> problems.add('city', "holds text such as 'Rome' in line 2")
    >>> problems.check()
    Traceback (most recent call last):
    tf_resflow.errors.FormatError: It has problems:
      age: is empty in line 7
      city: holds text such as 'Rome' in line 2
    Add --drop=city --missing=drop to leave these out.
  """

  def __init__(self, drop: Sequence[str] = (), options: str = 'flags'):
    self.where = ''
    self.dropped: list[str] = []
    self._options = options
    self._given: dict[str, Any] = {'drop': tuple(drop), 'missing': 'drop'}
    self._remedies: set[str] = set()
    self._texts: dict[str, list[str]] = {}

  def add(self, column: str, text: str, remedy: str = 'drop') -> None:
    """Adds a problem.

    Args:
      column: Name of the column; empty for the whole table.
      text: What is wrong, such as 'is infinite in line 3'.
      remedy: Option that leaves it out, 'drop' or 'missing'; or 'mend'.
    """
    if remedy == 'drop' and column not in self.dropped:
      self.dropped.append(column)
      if self._options == 'flags' and (
        ',' in column or column != column.strip()):
        text += f' (rename {column!r}, without commas and outer spaces)'
        remedy = 'mend'
      else:
        self._given['drop'] += (column,)
    self._remedies.add(remedy if self._options else 'mend')
    self._texts.setdefault(column, []).append(self.where + text)

  def check(self) -> None:
    """Raises `FormatError` if there are problems."""
    lines = [f'  {column}{": " * bool(column)}{"; ".join(texts)}'
             for column, texts in self._texts.items()]
    if len(lines) > _MAX_COLUMNS:
      lines[_MAX_COLUMNS:] = [f'  ... ({len(lines):,} columns in all)']
    given = ' '.join(
      shlex.quote(f'--{name}={spec.text_of(value)}')
      if self._options == 'flags' else f'{name}={value!r}'
      for name, value in self._given.items() if name in self._remedies)
    advice = [f'Add {given} to leave these out.'] * bool(given) + [
      'Mend the file.'] * ('mend' in self._remedies)
    errors.check_format(
      not lines, '\n'.join(['It has problems:', *lines, ' '.join(advice)]))
