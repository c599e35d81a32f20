"""Schemas of tests, from lists with an entry for each column."""

from collections.abc import Sequence
from typing import Any

from tf_resflow.columns import schema as schema_lib


def make_schema(
    *names: str, types: Sequence[str] = (), mean: Sequence[float] = (),
    std: Sequence[float] = (), whitening: Sequence[float] = (),
    conditions: Sequence[Any] = (), condition_mean: Sequence[float] = (),
    condition_std: Sequence[float] = ()) -> schema_lib.Schema:
  """Returns a schema of columns by name, or unnamed ones by their moments.

  Args:
    *names: of the columns of `x`.
    types, mean, std: of these, or none.
    whitening: see `schema_lib.Schema`.
    conditions: names of columns of the condition, or pairs with their levels.
    condition_mean, condition_std: of their coordinates, or none.
  """
  size = len(names) or len(mean) or len(types)
  columns = [schema_lib.Column(
      name=names[i] if names else '', type=types[i] if types else 'real',
      mean=(mean[i],) if mean else (), std=(std[i],) if mean else (),
      position=i) for i in range(size)]
  for i, given in enumerate(conditions, size):
    name, levels = (given, ()) if isinstance(given, str) else given
    start = sum(c.num_coordinates for c in columns[size:])
    which = slice(start, start + max(1, len(levels)))
    columns.append(schema_lib.Column(
        name=name, role='condition', levels=levels, position=i,
        mean=tuple(condition_mean[which]), std=tuple(condition_std[which])))
  return schema_lib.Schema(columns=tuple(columns), whitening=tuple(whitening))
