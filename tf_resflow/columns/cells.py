"""Cells of columns: what numbers they are, and what is wrong with others."""

from collections.abc import Iterable
import re
from typing import Any

import numpy as np

from tf_resflow import errors

_NUMBER = r'[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?'
# A number with thousands separators.
THOUSANDS = '[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+'
# Patterns of text that is meant as numbers, and what to do then.
_HINTS = {
    rf'{THOUSANDS}(?:\.[0-9]*)?': 'remove thousands separators',
    r'[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*|'
    r'[0-9]{1,2}([./-])[0-9]{1,2}\1[0-9]{2,4}.*':
        'for a date give a number, such as days'}
# Least integer that float64 may round.
_MAX_INTEGER = 2**53
# Beginning of the description of a column with text.
HOLDS_TEXT = 'holds text such as'


def as_names(names: str | Iterable[str]) -> tuple[str, ...]:
  """Returns names as a tuple; a string is one name."""
  return (names,) if isinstance(names, str) else tuple(names)


def check_unmasked(name: str, x: Any) -> None:
  """Raises `InvalidValueError` for a masked array, whose mask would be lost."""
  errors.check(
      not isinstance(x, np.ma.MaskedArray), name, 'a masked array',
      'an array without a mask', 'x.filled(np.nan) has empty cells.')


def check_present(
    names: Iterable[str], known: Iterable[str], what: str = 'It') -> None:
  """Raises `FormatError` if a table, `what`, does not have all names."""
  known = [*known]
  absent = [name for name in names if name not in known]
  errors.check(not absent, problem=' '.join([
      f'{what} has no {", ".join(absent)}.',
      *filter(None, (errors.did_you_mean(name, known) for name in absent))]))


def is_frame(x: Any) -> bool:
  """Returns whether a value is a data frame, without importing pandas."""
  return hasattr(x, 'columns') and hasattr(x, 'to_numpy')


def is_number(text: str) -> bool:
  """Returns whether text is a number, with a point or without one."""
  return re.fullmatch(_NUMBER, text) is not None


def describe_rows(index: Any, mask: np.ndarray) -> str:
  """Describes the rows of a mask, such as 'in lines 36, 77, 80 (12 rows)'.

  The index is that of a frame of `table_files.read_frame`.
  """
  found = index[mask]
  noun = f'{index.name}s' if len(found) > 1 else index.name
  more = f' ({len(found):,} rows)' if len(found) > 3 else ''
  return f'in {noun} {", ".join(map(str, found[:3]))}{more}'


def _dtype_problem(cells):
  """Describes a dtype other than numbers, booleans, text and categories."""
  import pandas as pd  # Whoever has a frame has it.

  types, dtype = pd.api.types, cells.dtype
  is_known = (
      types.is_any_real_numeric_dtype(dtype) or types.is_bool_dtype(dtype) or
      types.is_string_dtype(dtype) or dtype.name == 'category' or
      # Of Arrow.
      dtype.name.startswith(('dictionary<', 'null[')))
  return '' if is_known else f'is {dtype}; give numbers, for dates such as days'


def texts(cells: Any) -> Any:
  """Returns cells as text without outer spaces, a `pandas.Series`."""
  # Some versions of pandas have text for missing cells.
  return cells.astype('str').str.strip().where(cells.notna())


def numbers(cells: Any) -> tuple[np.ndarray, np.ndarray, str]:
  """Returns the numbers in a column of `table_files.read_frame`, `[N]`.

  Text of a number is that number, exactly as Python reads it, with a decimal
  point and without thousands separators; true and false are 1 and 0.

  Returns:
    Float64 `[N]`, NaN where there is none; bool `[N]`, the empty cells, as are
    NA, NaN, null and the like; and what else it holds, in words.

  Example:
    >>> import pandas as pd
    >>> numbers(pd.Series(['1.5', '', '12 kg']).rename_axis('row'))[2]
    "holds text such as '12 kg' in row 2"
  """
  import pandas as pd
  from pyarrow import csv

  if problem := _dtype_problem(cells):
    return np.full(len(cells), np.nan), cells.isna().to_numpy(bool), problem
  problems = []
  if pd.api.types.is_any_real_numeric_dtype(cells):
    values = cells.to_numpy(np.float64, na_value=np.nan)
    is_empty: np.ndarray = np.isnan(values)
    is_integer = np.full(len(cells), pd.api.types.is_integer_dtype(cells))
  else:
    text = texts(cells).fillna('')
    # pandas has no public list of its own.
    is_empty = text.isin(csv.ConvertOptions().null_values).to_numpy(bool)
    lower = text.str.lower()
    if lower[~is_empty].isin(['true', 'false']).all():
      text = lower.replace({'true': '1', 'false': '0'})
    is_text = ~is_empty & ~text.str.fullmatch(
        f'{_NUMBER}|[+-]?inf(?:inity)?', case=False).to_numpy(bool)
    # By Python's float, the only one that is exact.
    values = text.mask(is_empty | is_text, 'nan').to_numpy(object).astype(
        np.float64)
    is_integer = text.str.fullmatch('[+-]?[0-9]+').to_numpy(bool)
    if is_text.any():
      others = text[is_text]
      shown = ', '.join(
          repr(cell[:30]) for cell in others.drop_duplicates().iloc[:3])
      problems = [
          f'{HOLDS_TEXT} {shown} {describe_rows(cells.index, is_text)}', *(
              hint for pattern, hint in _HINTS.items()
              if others.str.fullmatch(pattern).any())]
  for what, mask in (
      ('is infinite', np.isinf(values)),
      ('holds integers beyond 2^53, which float64 rounds,',
       is_integer & (np.abs(values) >= _MAX_INTEGER))):
    if mask.any():
      problems.append(f'{what} {describe_rows(cells.index, mask)}')
  if is_empty.all() and len(cells):
    problems = ['is empty']
  return values, is_empty, '; '.join(problems)
