"""Columns of data frames by their names, categories included.

A category enters conditions as one number per level, named `COLUMN=LEVEL`,
which is 1 for rows of that level and else 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_resflow import errors


def categories(
    names: Sequence[str], columns: Sequence[str]) -> dict[str, list[str]]:
  """Returns the levels of the categories among names of numbers, by column.

  Example:
    >>> categories(['dose', 'city=Oslo', 'city=Rome'], ['dose', 'city'])
    {'city': ['Oslo', 'Rome']}
  """
  found: dict[str, list[str]] = {}
  for name in names:
    column, equals, level = name.partition('=')
    if name not in columns and equals:
      found.setdefault(column, []).append(level)
  return found


def lacking(names: Sequence[str], columns: Sequence[str]) -> str:
  """Returns the columns that numbers of these names require, as text.

  Example:
    >>> lacking(['dose', 'city=Oslo', 'city=Rome', 'age'], ['dose'])
    'city, age'
  """
  sources = {name: name.partition('=')[0] for name in names}
  return ', '.join(dict.fromkeys(
      source for name, source in sources.items()
      if not {name, source} & {*columns}))


def one_hot(cells: Any, levels: Sequence[str]) -> np.ndarray:
  """Returns the numbers of a category, `[N, K]`; unknown levels are zeros."""
  text = cells.astype('str').str.strip().to_numpy(object)
  return (text[:, np.newaxis] == np.array(levels, object)).astype(np.float64)


def is_frame(x: Any) -> bool:
  """Returns whether a value is a data frame, without importing pandas."""
  return hasattr(x, 'columns') and hasattr(x, 'to_numpy')


def data_of(x: Any, condition: Any, flow: Any) -> tuple[Any, Any]:
  """Returns data and condition of a flow as arrays, where they are frames.

  By default a frame `x` has the columns of the condition, too. Rows of it with
  an empty cell in the condition become NaN, with a condition of 0.
  """
  spec = flow.condition_spec
  if spec is not None:
    has_both = condition is None and spec.names and is_frame(x)
    condition = in_order('condition', x if has_both else condition, spec.names)
  if is_frame(x):
    x = in_order('x', x, flow.column_names)
    if np.shape(condition) == (len(x), *getattr(spec, 'shape', ())):
      gaps = np.isnan(np.asarray(condition, np.float64))
      x = np.where(gaps.reshape([len(x), -1]).any(axis=1)[:, np.newaxis],
                   np.nan, x)
      condition = np.where(gaps, 0, condition)
  return x, condition


def _numbers(name, cells):
  """Returns a column as float64, or raises with the first text in it."""
  import pandas as pd  # Whoever has a frame has it.

  numbers = pd.to_numeric(cells, errors='coerce')
  is_text = (numbers.isna() & cells.notna()).to_numpy(bool)
  if is_text.any():
    errors.check(
        False, name, 'a data frame', f'numbers in column {cells.name}',
        f'It has {cells[is_text].iloc[0]!r} in row {cells.index[is_text][0]}.')
  return numbers.to_numpy(np.float64, na_value=np.nan)


def in_order(name: str, x: Any, columns: Sequence[str]) -> Any:
  """Returns the columns of a data frame as an array; other values unchanged.

  Args:
    name: of the argument, for messages.
    x: anything, such as a `pandas.DataFrame`.
    columns: names of the numbers, in the order of the model; none if unknown,
      and then those of the frame are taken as they are. Empty cells are NaN.

  Raises:
    InvalidValueError: if the frame lacks a column, or has an unknown level, or
      text where numbers are expected.

  Example:
    >>> import pandas as pd
    >>> frame = pd.DataFrame({'b': [1], 'a': [2], 'c': ['y']})
    >>> in_order('x', frame, ['a', 'b', 'c=x', 'c=y']).tolist()
    [[2.0, 1.0, 0.0, 1.0]]
  """
  if not is_frame(x):
    return x
  if not columns:
    return x.to_numpy()
  absent = lacking(columns, list(x.columns))
  errors.check(
      not absent, name, 'a data frame', f'one with {", ".join(columns)}',
      f'It has no {absent}.')
  numbers: dict[str, np.ndarray] = {}
  for column, names in categories(columns, list(x.columns)).items():
    values = one_hot(x[column], names)
    is_empty = x[column].isna().to_numpy(bool)
    unknown = x[column][~is_empty & (values.sum(axis=1) == 0)]
    values[is_empty] = np.nan
    errors.check(
        not len(unknown), name, 'a data frame', f'{column} among '
        f'{", ".join(names)}', f'It has {", ".join(map(str, unknown[:1]))}.')
    numbers |= {f'{column}={level}': values[:, i]
                for i, level in enumerate(names)}
  return np.stack([
      numbers[column] if column in numbers else _numbers(name, x[column])
      for column in columns], axis=1)


def collapsed(numbers: Any) -> dict[str, Any]:
  """Returns columns in which the numbers of a category are its levels again.

  Example:
    >>> collapsed({'c=x': np.array([0.0, 1.0]), 'c=y': np.array([1.0, 0.0])})
    {'c': ['y', 'x']}
  """
  columns: dict[str, Any] = {}
  levels = categories(list(numbers), [])
  for name, values in numbers.items():
    column = name.partition('=')[0]
    if column not in levels:
      columns[name] = values
    elif column not in columns:
      table = np.stack([
          numbers[f'{column}={level}'] for level in levels[column]])
      columns[column] = [levels[column][i] for i in table.argmax(axis=0)]
  return columns
