"""Columns of data frames by their names, categories included.

A category enters conditions as one number per level, named `COLUMN=LEVEL`,
which is 1 for rows of that level and else 0.
"""

import collections
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import column_types


def columns_of(names: Iterable[str]) -> dict[str, str]:
  """Returns the columns that hold numbers of these names, by name.

  Names that share what stands before `=` are levels of one column.

  Example:
    >>> columns_of(['dose', 'city=Oslo', 'city=Rome', 'a=b'])
    {'dose': 'dose', 'city=Oslo': 'city', 'city=Rome': 'city', 'a=b': 'a=b'}
  """
  names = [*names]
  counts = collections.Counter(
      name.partition('=')[0] for name in names if '=' in name)
  return {name: column if '=' in name and counts[column] > 1 else name
          for name, column in ((n, n.partition('=')[0]) for n in names)}


def categories(
    names: Sequence[str], columns: Sequence[str]) -> dict[str, list[str]]:
  """Returns the levels of the categories among names of numbers, by column.

  Example:
    >>> categories(['dose', 'city=Oslo', 'city=Rome'], ['dose', 'city'])
    {'city': ['Oslo', 'Rome']}
  """
  found: dict[str, list[str]] = {}
  for name, column in columns_of(names).items():
    if name != column and name not in columns:
      found.setdefault(column, []).append(name.partition('=')[2])
  return found


def lacking(names: Sequence[str], columns: Sequence[str]) -> str:
  """Returns the columns that numbers of these names require, as text.

  Example:
    >>> lacking(['dose', 'city=Oslo', 'city=Rome', 'age'], ['dose'])
    'city, age'
  """
  return ', '.join(dict.fromkeys(
      column for name, column in columns_of(names).items()
      if not {name, column} & {*columns}))


def one_hot(cells: Any, levels: Sequence[str]) -> np.ndarray:
  """Returns the numbers of a category, `[N, K]`; unknown levels are zeros."""
  text = cells.astype('str').str.strip().to_numpy(object)
  return (text[:, np.newaxis] == np.array(levels, object)).astype(np.float64)


def as_names(names: str | Iterable[str]) -> tuple[str, ...]:
  """Returns names as a tuple; a string is one name."""
  return (names,) if isinstance(names, str) else tuple(names)


def sources(names: Sequence[str]) -> list[str]:
  """Returns the columns that hold numbers of these names, once each."""
  return [*dict.fromkeys(columns_of(names).values())]


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
      x = np.where(gaps.any(axis=tuple(range(1, gaps.ndim)))[:, np.newaxis],
                   np.nan, x)
      condition = np.where(gaps, 0, condition)
  return x, condition


def dtype_problem(cells: Any) -> str:
  """Describes a dtype other than numbers, booleans, text and categories.

  Example:
    >>> import pandas as pd
    >>> dtype_problem(pd.Series([1.5])), dtype_problem(pd.Series([1j]))
    ('', 'is complex128; give numbers, for dates such as days')
  """
  import pandas as pd  # Whoever has a frame has it.

  types, dtype = pd.api.types, cells.dtype
  is_known = (
      types.is_any_real_numeric_dtype(dtype) or types.is_bool_dtype(dtype) or
      types.is_string_dtype(dtype) or dtype.name == 'category' or
      # Of Arrow.
      dtype.name.startswith(('dictionary<', 'null[')))
  return '' if is_known else f'is {dtype}; give numbers, for dates such as days'


def _numbers(name, cells):
  """Returns a column as float64, or raises with the first text in it."""
  import pandas as pd

  numbers = pd.to_numeric(cells, errors='coerce').to_numpy(
      np.float64, na_value=np.nan)
  wrong = (np.isnan(numbers) & cells.notna().to_numpy(bool)) | np.isinf(
      column_types.rounded(numbers))
  if wrong.any():
    errors.check(
        False, name, 'a data frame', f'numbers in column {cells.name}', 'It has'
        f' {cells[wrong].tolist()[0]!r} in row {cells.index[wrong][0]}.')
  return numbers


def _framed(name, x, columns):
  """Returns named cells, or those of one row, as a data frame."""
  import pandas as pd  # Takes a second.

  known = sources(columns)
  cells = {f'{column}': np.asarray(value) for column, value in (
      x.items() if isinstance(x, Mapping) else zip(known, x, strict=False))}
  what = f'a dict of {", ".join(cells)}' if isinstance(x, Mapping) else x
  absent = lacking(columns, [*cells])
  errors.check(
      not absent and (isinstance(x, Mapping) or len(x) == len(known)), name,
      what, ', '.join(known), ' '.join(
          errors.did_you_mean(column, known)
          for column in cells if absent and column not in known))
  shapes = {values.shape for values in cells.values() if values.ndim}
  errors.check(
      len(shapes) <= 1 and all(len(shape) == 1 for shape in shapes), name, what,
      'one cell, or a list of cells, for each column, lists of one length')
  return pd.DataFrame(
      {column: values if values.ndim else values[()]
       for column, values in cells.items()}, None if shapes else [0])


def in_order(name: str, x: Any, columns: Sequence[str]) -> Any:
  """Returns the columns of a data frame as an array; other values unchanged.

  With names of columns, a dict from these to cells, or to lists of cells, is a
  frame, too, and so is a list with text, one row, such as `[0.5, 'Oslo']`.

  Args:
    name: of the argument, for messages.
    x: anything, such as a `pandas.DataFrame`.
    columns: names of the numbers, in the order of the model; none if unknown,
      and then those of the frame are taken as they are. Empty cells are NaN.

  Raises:
    InvalidValueError: if the frame lacks a column, has two of its name or an
      unknown level, or other than finite numbers where these are expected.

  Example:
    >>> import pandas as pd
    >>> frame = pd.DataFrame({'b': [1], 'a': [2], 'c': ['y']})
    >>> in_order('x', frame, ['a', 'b', 'c=x', 'c=y']).tolist()
    [[2.0, 1.0, 0.0, 1.0]]
  """
  if columns and (isinstance(x, Mapping) or isinstance(x, list | tuple) and any(
      isinstance(value, str) for value in x)):
    x = _framed(name, x, columns)
  if not is_frame(x):
    return x
  if not columns:
    return x.to_numpy()
  x = x.set_axis([*map(str, x.columns)], axis=1)
  known = list(x.columns)
  absent = lacking(columns, known)
  errors.check(
      not absent, name, 'a data frame', f'one with {", ".join(columns)}',
      f'It has no {absent}.')
  for column in {*columns, *categories(columns, known)} & {*known}:
    problem = dtype_problem(x[column]) if known.count(column) == 1 else (
        f'is the name of {known.count(column)} columns; rename them')
    errors.check(
        not problem, name, 'a data frame', 'one column of numbers or text '
        f'called {column}', f'{column} {problem}.')
  numbers: dict[str, np.ndarray] = {}
  for column, names in categories(columns, known).items():
    values = one_hot(x[column], names)
    is_empty = x[column].isna().to_numpy(bool)
    unknown = x[column][~is_empty & (values.sum(axis=1) == 0)]
    values[is_empty] = np.nan
    errors.check(
        not len(unknown), name, 'a data frame', f'known levels of {column}',
        f'{column} is one of {", ".join(names)}, not '
        f'{", ".join(map(str, unknown[:1]))}.')
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
  names = list(numbers)
  levels, of = categories(names, []), columns_of(names)
  for name, values in numbers.items():
    column = of[name]
    if column == name:
      columns[name] = values
    elif column not in columns:
      table = np.stack([
          numbers[f'{column}={level}'] for level in levels[column]])
      columns[column] = [levels[column][i] for i in table.argmax(axis=0)]
  return columns
