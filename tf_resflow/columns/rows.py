"""Rows of a table: frames of cells as numbers for a flow, and back."""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import functools
import os
from typing import Any, Self

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import cells as cells_lib
from tf_resflow.columns import column_types
from tf_resflow.columns import problems as problems_lib
from tf_resflow.columns import schema as schema_lib
from tf_resflow.columns import table_files

# Columns that are appended to rows that are scored, and their types.
SCORES = {
    'log_prob': 'Float64', 'log_prob_stderr': 'Float64', 'in_training': 'Int64',
    'p_value': 'Float64', 'odd': 'Int64', 'off_grid': 'Int64',
    'odd_columns': 'string', 'explanation': 'string'}
# Largest number of levels of a category.
_MAX_LEVELS = 100
# Largest number of columns that a message names.
_MAX_NAMED = 6
# With a larger share of empty cells, a column is left out rather than rows.
_MAX_SHARE_EMPTY = 0.5


class Table:
  """A frame of `table_files.read_frame`; each column is parsed once, if used.

  Attributes:
    frame: the `pandas.DataFrame`.
    numbers: maps the place of a column to what `cells.numbers` returns for it.
  """

  def __init__(self, frame: Any):
    self.frame = frame
    self.numbers = functools.cache(
        lambda place: cells_lib.numbers(frame.iloc[:, place]))

  def levels(self, place: int) -> tuple[str, ...]:
    """Returns the levels of a column of text; none of numbers."""
    _, is_empty, problem = self.numbers(place)
    return tuple(sorted({*cells_lib.texts(
        self.frame.iloc[~is_empty, place])})) if (
            problem.startswith(cells_lib.HOLDS_TEXT)) else ()


def appended(fdr: float | None, explain: int | bool) -> list[str]:
  """Returns the columns that scores append, with these options."""
  return [name for name, kind in SCORES.items()
          if (fdr or name != 'odd') and (explain or kind != 'string')]


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
  """Rows of a table, as cells and as numbers for a flow.

  Attributes:
    frame: all cells, a `pandas.DataFrame`; None for arrays.
    x: modelled columns, float64 `[N, D]`, NaN in rows that are not complete.
    condition: coordinates of the condition, `[N, K]` (0 in rows that are not
      complete), or labels `[N]`; None for unconditional flows.
    is_complete: whether no cell of a row is empty, bool `[N]`.
    group: number of the group of each row, `[N]`, or None.
    weight: weight of each row, `[N]`, or None.
  """

  x: np.ndarray
  is_complete: np.ndarray
  condition: np.ndarray | None = None
  frame: Any = None
  group: np.ndarray | None = None
  weight: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.x)

  @property
  def index(self) -> Any:
    """The index of the rows for messages, named 'line' or 'row'; or None."""
    return None if self.frame is None else self.frame.index

  def take(self, which: np.ndarray) -> Self:
    """Returns chosen rows, by their places or a mask."""
    return type(self)(**{
        name: values if values is None else
        getattr(values, 'iloc', values)[which]  # Of a frame.
        for name, values in vars(self).items()})

  def complete(self) -> Self:
    """Returns the rows without an empty cell."""
    return self if self.is_complete.all() else self.take(self.is_complete)

  def spread(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Returns values of complete rows as those of all rows, NaN for others."""
    if self.is_complete.all():
      return values
    values = np.moveaxis(values, axis, 0)
    result = np.full([len(self), *values.shape[1:]], np.nan)
    result[self.is_complete] = values
    return np.moveaxis(result, 0, axis)


def read(
    schema: schema_lib.Schema, source: Any, name: str = 'inputs',
    missing: str = 'error', roles: Sequence[str] = schema_lib.OF_FLOWS,
    appended: Sequence[str] = ()) -> Rows:
  """Reads the columns of a flow in a file of a table, or in a data frame.

  Columns are found by their names, in any order; others are passed over. A
  frame for a flow without names may have any.

  Args:
    schema: of the flow.
    source: path, see `table_files.read_frame`; or a `pandas.DataFrame`.
    name: of the argument or flag that names it, for messages.
    missing: 'error', or 'nan' to keep rows with an empty cell, which are not
      complete then; 'gaps' to keep the other cells of these, too: complete are
      those that lack no condition.
    roles: of the columns to read.
    appended: names of columns that will be appended, see `check_free`.

  Raises:
    InvalidValueError: if the table is invalid, with all of its problems.

  Example:
    >>> import pandas as pd
    >>> schema = schema_lib.Schema(columns=[
    ...     {'name': 'b'}, {'name': 'a', 'position': 1},
    ...     {'name': 'c', 'role': 'condition', 'levels': ['x', 'y']}])
    >>> rows = read(schema, pd.DataFrame({'c': ['y'], 'a': [2], 'b': [1]}))
    >>> rows.x.tolist(), rows.condition.tolist()
    ([[1.0, 2.0]], [[0.0, 1.0]])
    >>> to_frame(schema, rows.x, rows.condition).to_dict('records')
    [{'b': 1.0, 'c': 'y', 'a': 2.0}]
  """
  (rows,) = read_parts(schema, source, name, missing, roles, appended)
  return rows


def read_parts(
    schema: schema_lib.Schema, source: Any, name: str = 'inputs',
    missing: str = 'error', roles: Sequence[str] = schema_lib.OF_FLOWS,
    appended: Sequence[str] = (), size: int | None = None) -> Iterator[Rows]:
  """Yields the rows of `read` in parts of a file, one after another.

  Args:
    schema, source, name, missing, roles, appended: those of `read`.
    size: rows of a part, see `table_files.read_frames`.
  """
  is_file = isinstance(source, str | os.PathLike)
  names = list(schema.by_name(*roles))
  shown = ', '.join(names[:_MAX_NAMED]) + (
      f', ... ({len(names)})' if len(names) > _MAX_NAMED else '')
  problems = problems_lib.Problems(options='none' if is_file else '')
  num_rows = num_complete = 0
  with errors.format_errors(
      name, source if is_file else 'a data frame',
      f'a table with the columns {shown}'):
    for frame in table_files.read_frames(
        source, problems=problems, size=size) if is_file else (
            [table_files.plain(source)]):
      if not is_file and not schema.is_named and (
          len(frame.columns) == len(names) and not (
              {*names} <= {*frame.columns})):
        frame = frame.set_axis(names, axis=1)
      cells_lib.check_present(names, frame.columns)
      check_free(frame, appended)
      rows = parse(schema, Table(frame), problems, missing, roles)
      problems.check()
      num_rows += len(rows)
      num_complete += rows.is_complete.sum()
      yield rows
    if is_file:
      errors.check(num_rows, problem='It has no rows.')
      errors.check(num_complete, problem='All rows have an empty cell.')


def check_free(frame: Any, names: Sequence[str]) -> None:
  """Raises `FormatError` if a frame has columns of names to append."""
  taken = [name for name in names if name in frame]
  errors.check(
      not taken, problem=f'It has a column {", ".join(taken)} already: rename '
      'it, or leave it out.')


def parse(
    schema: schema_lib.Schema, table: Table, problems: problems_lib.Problems,
    missing: str, roles: Sequence[str]) -> Rows:
  """Returns all rows of a table.

  What is wrong is added to `problems`; columns that have to be left out are
  NaN, as if the advice were taken. The other arguments are those of `read`.
  """
  size = len(table.frame)
  parts: dict[str, list[np.ndarray]] = {role: [] for role in schema_lib.ROLES}
  is_complete = np.ones(size, bool)
  for name, column in schema.by_name(*roles).items():
    values, is_empty = _read(table, column, name, problems, missing)
    parts[column.role].append(values)
    if name not in problems.dropped and (
        missing != 'gaps' or column.role != schema_lib.MODELLED):
      is_complete &= ~is_empty
  x = np.hstack([np.zeros([size, 0]), *parts[schema_lib.MODELLED]])
  if missing != 'gaps':
    x[~is_complete] = np.nan
  condition = None
  if columns := parts[schema_lib.CONDITION]:
    condition = np.hstack(columns)
    condition[~is_complete] = 0.0
  group, weight = (
      parts[role][0][:, 0] if parts[role] else None
      for role in (schema_lib.GROUP, schema_lib.WEIGHT))
  return Rows(
      x=x, is_complete=is_complete, condition=condition, frame=table.frame,
      group=group, weight=weight)


def _read(table, column, name, problems, missing):
  """Returns the coordinates of a column, `[N, K]`, and which are empty."""
  places = np.flatnonzero(table.frame.columns == name).tolist()
  cells = table.frame.iloc[:, places[0]]
  values, is_empty, problem = table.numbers(places[0])
  if missing in ('nan', 'gaps') and is_empty.all():
    problem = ''
  if column.levels:
    values, problem = _one_hot(column.levels, cells, is_empty)
  elif column.role == schema_lib.GROUP:
    import pandas as pd
    keys = cells_lib.texts(cells) if problem else values
    values, problem = pd.factorize(keys, sort=True)[0], ''
  values = values.reshape([len(values), column.num_coordinates])
  is_far = np.isinf(column_types.rounded(values)).any(axis=1)
  empty = is_empty.any() and missing == 'error' and (
      f'is empty {cells_lib.describe_rows(cells.index, is_empty)}')
  if len(places) > 1:
    problem = f'is the name of {len(places)} columns; rename them'
  elif name == f'Unnamed: {places[0]}':
    problem = f'column {places[0] + 1} has no name'
  elif empty and is_empty.mean() > _MAX_SHARE_EMPTY:
    problem = empty
  elif not problem and is_far.any():
    problem = 'is beyond the numbers of float32 ' + cells_lib.describe_rows(
        cells.index, is_far)
  if problem:
    problems.add(name, problem)
    return np.full(values.shape, np.nan), is_empty
  if empty:
    problems.add(name, empty, 'missing')
  return values, is_empty


def _one_hot(levels, cells, is_empty):
  """Returns 1 where a cell is a level, `[N, K]`; and what is wrong."""
  is_level = cells_lib.texts(cells).to_numpy(object)[:, np.newaxis] == (
      np.array(levels, object))
  is_new = ~is_empty & ~is_level.any(axis=1)
  problem = ''
  if is_new.any():
    problem = (
        f'holds {cells[is_new].iloc[0]}, not one of {", ".join(levels)}, '
        f'{cells_lib.describe_rows(cells.index, is_new)}')
  elif len(levels) > _MAX_LEVELS:
    problem = (f'holds {len(levels):,} levels; a condition has at most '
               f'{_MAX_LEVELS}')
  return is_level.astype(np.float64), problem


def arrays(schema: schema_lib.Schema, x: Any, condition: Any = None
           ) -> tuple[Any, Any]:
  """Returns data and condition of a flow as arrays, where they are frames.

  Tensors and arrays are returned as they are. A frame `x` has the columns of
  the condition, too, unless this is given; rows of it with an empty cell are
  NaN, with a condition of 0. With names, these are frames, too: a dict from
  names to cells or to lists of cells, a list of such dicts, and text in lists
  or arrays, of one row as `[0.5, 'Oslo']`, of several, or of one column.

  Raises:
    InvalidValueError: if a frame lacks a column, has two of its name or an
      unknown level, or other than finite numbers where these are expected.
  """
  cells_lib.check_unmasked('x', x)
  frame = _framed(schema, 'x', x, schema.names)
  condition = condition_array(schema, condition)
  if frame is None:
    return x, condition
  roles = (schema_lib.MODELLED,) if condition is not None or not (
      schema.is_named and schema.conditions) else schema_lib.OF_FLOWS
  rows = read(schema, frame, 'x', 'nan', roles)
  if condition is None:
    return rows.x, rows.condition
  if np.shape(condition)[:1] == (len(rows),) and np.ndim(condition) > 1:
    condition = np.array(condition, np.float64)
    gaps = np.isnan(condition).any(axis=tuple(range(1, condition.ndim)))
    rows.x[gaps], condition[gaps] = np.nan, 0.0
  return rows.x, condition


def condition_array(schema: schema_lib.Schema, condition: Any) -> Any:
  """Returns a condition as an array, where it is a frame; see `arrays`."""
  frame = _framed(schema, 'condition', condition, schema.condition_names)
  if frame is None:
    return condition
  rows = read(schema, frame, 'condition', 'nan', (schema_lib.CONDITION,))
  return np.where(rows.is_complete[:, np.newaxis], rows.condition, np.nan)


def _framed(schema, name, value, names):
  """Returns a frame, named cells, or those of one row, as a data frame.

  None for everything else.
  """
  if cells_lib.is_frame(value):
    return value
  if not schema.is_named or not _has_cells(value):
    return None
  import pandas as pd  # Takes a second.

  if not isinstance(value, Mapping):
    table = np.array(value, object)
    if table.ndim == 1 and isinstance(table[0], Mapping):
      return pd.DataFrame([*value])
    if table.ndim < 2:  # One row, or the cells of one column.
      table = table.reshape([-1, 1] if len(names) == 1 else [1, -1])
    errors.check(
        table.shape[1:] == (len(names),), name, value, ', '.join(names))
    return pd.DataFrame(table, columns=[*names]).infer_objects()
  cells = {str(column): np.asarray(cell) for column, cell in value.items()}
  shapes = {cell.shape for cell in cells.values() if cell.ndim}
  errors.check(
      len(shapes) <= 1 and all(len(shape) == 1 for shape in shapes), name,
      f'a dict of {", ".join(cells)}', 'one cell, or a list of cells, for each '
      'column, lists of one length')
  return pd.DataFrame(
      {column: cell if cell.ndim else cell[()]
       for column, cell in cells.items()}, None if shapes else [0])


def _has_cells(value):
  """Returns whether a value is text or a dict, or a list or array of such."""
  if isinstance(value, list | tuple):
    return any(map(_has_cells, value))
  return isinstance(value, str | Mapping) or getattr(
      getattr(value, 'dtype', None), 'kind', '') in (*'OUT',)


def to_frame(schema: schema_lib.Schema, x: Any, condition: Any = None) -> Any:
  """Returns data and conditions as a `pandas.DataFrame` with their names.

  Columns are in the order of the table; categories are their levels again.

  Args:
    schema: of the flow.
    x: `[N, D]`.
    condition: `[N, K]`, or labels `[N]`; None for an unconditional flow.
  """
  import pandas as pd  # Takes a second.

  columns = schema.by_name(*schema_lib.OF_FLOWS)
  cells: dict[str, np.ndarray] = {}
  for role, values in zip(schema_lib.OF_FLOWS, (x, condition), strict=True):
    named = schema.by_name(role)
    if values is not None and named:
      parts = schema_lib.by_column(
          [*named.values()], np.reshape(np.asarray(values), [len(values), -1]))
      cells |= {name: _cells(columns[name], part)
                for name, part in zip(named, parts, strict=True)}
  return pd.DataFrame({name: cells[name] for name in sorted(
      cells, key=lambda name: columns[name].position)})


def _cells(column, values):
  """Returns the cells of coordinates `[N, K]`: levels, or numbers."""
  if column.levels:
    return np.array(column.levels, object)[values.argmax(axis=1)]
  values, column_type = values[:, 0], column_types.ColumnType.get(column.type)
  if column_type.is_integer:
    values = np.float64(values)
    values = np.where(column_type.is_on(values), column_type.values(
        column_type.units(values, np)), values)
  # Of whole numbers all are such, also in a part of the rows.
  if column.role == schema_lib.MODELLED and (
      column_type.step % 1.0 or not column_type.is_integer):
    return values
  is_whole = (values == np.floor(values)) & (np.abs(values) < 2**53)
  return values.astype(np.int64) if is_whole.all() else values
