"""Data frames as arguments of flows: columns are found by their names."""

from collections.abc import Sequence
from typing import Any

from tf_resflow import errors


def in_order(name: str, x: Any, columns: Sequence[str]) -> Any:
  """Returns the columns of a data frame as an array; other values unchanged.

  Args:
    name: of the argument, for messages.
    x: anything, such as a `pandas.DataFrame`.
    columns: names of the columns, in the order of the model; none if unknown,
      and then those of the frame are taken as they are.

  Raises:
    InvalidValueError: if the frame lacks a column.

  Example:
    >>> import pandas as pd
    >>> in_order('x', pd.DataFrame({'b': [1], 'a': [2]}), ['a', 'b']).tolist()
    [[2, 1]]
  """
  if not (hasattr(x, 'columns') and hasattr(x, 'to_numpy')):
    return x
  known = list(x.columns)
  lacking = [column for column in columns if column not in known]
  errors.check(
      not lacking, name, 'a data frame', f'one with {", ".join(columns)}',
      f'It has no {", ".join(lacking)}.')
  return (x[list(columns)] if columns else x).to_numpy()
