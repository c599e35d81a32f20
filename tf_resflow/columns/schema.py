"""The schema of a table as a value: its columns, and frames to rows and back.

A `Schema` says what the columns of a table are to a flow: their types, levels
and roles, and what was fitted to them. It stands in model.json, and is chosen
once, at the first start of a run.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import operator
import os
from typing import Any, Self

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import cells as cells_lib
from tf_resflow.columns import column_types
from tf_resflow.columns import problems as problems_lib
from tf_resflow.columns import table_files
from tf_resflow.specs import registries

# Roles of columns: coordinates of x, of the condition c of p(x|c), groups of
# rows that are held out together, and those that are passed over.
MODELLED, CONDITION, GROUP, UNUSED = ROLES = (
    'modelled', 'condition', 'group', 'unused')
_OF_FLOWS = (MODELLED, CONDITION)
# Largest number of levels of a category.
_MAX_LEVELS = 100
# Largest number of columns that a message names.
_MAX_NAMED = 6
# With a larger share of empty cells, a column is left out rather than rows.
_MAX_SHARE_EMPTY = 0.5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
  """A column of a table.

  Attributes:
    name: its name; empty where data have no names.
    role: one of `ROLES`.
    type: spec of the `column_types.ColumnType` of a modelled column.
    levels: of a category, texts; it enters as one coordinate per level, which
      is 1 for rows of that level and else 0. None for numbers.
    mean, std: moments of each coordinate in the training part, in the units of
      the type, by which models standardise; or none.
    position: its place among the columns of the table.
  """

  name: str = ''
  role: str = MODELLED
  type: str = 'real'
  levels: tuple[str, ...] = ()
  mean: tuple[float, ...] = ()
  std: tuple[float, ...] = ()
  position: int = 0

  def __post_init__(self):
    errors.check(self.role in ROLES, 'role', self.role, ', '.join(ROLES))
    registries.COLUMN_TYPES.check(self.type, 'column_types')
    for name in ('levels', 'mean', 'std'):  # As in JSON: lists, or one number.
      value = getattr(self, name)
      object.__setattr__(self, name, (value,) if isinstance(
          value, float) else tuple(value))
    size = self.num_coordinates
    errors.check(
        (len(self.mean), len(self.std)) in ((0, 0), (size, size)) and
        np.isfinite([*self.mean, *self.std]).all() and min(self.std, default=1)
        > 0,
        'std', f'{self.std} beside mean={self.mean}',
        f'{size} finite numbers each, above 0, or none')

  @property
  def num_coordinates(self) -> int:
    """Number of numbers that it is to a flow."""
    return max(1, len(self.levels))

  @property
  def labels(self) -> list[str]:
    """Names of its coordinates; those of levels are `COLUMN=LEVEL`."""
    return [f'{self.name}={level}' for level in self.levels] or [self.name]

  def numbers(self, cells: Any) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns its coordinates in cells, `[N, K]`; see `cells.numbers`."""
    values, is_empty, problem = cells_lib.numbers(cells)
    if self.role == GROUP:
      import pandas as pd
      keys = cells_lib.texts(cells) if problem else values
      values, problem = pd.factorize(keys, sort=True)[0], ''
    if not self.levels:
      return values[:, np.newaxis], is_empty, problem
    is_level = cells_lib.texts(cells).to_numpy(object)[:, np.newaxis] == (
        np.array(self.levels, object))
    is_new = ~is_empty & ~is_level.any(axis=1)
    problem = cells_lib.dtype_problem(cells)
    if is_new.any():
      problem = (
          f'holds {cells[is_new].iloc[0]}, not one of {", ".join(self.levels)},'
          f' {cells_lib.describe_rows(cells.index, is_new)}')
    elif len(self.levels) > _MAX_LEVELS:
      problem = (f'holds {len(self.levels):,} levels; a condition has at most '
                 f'{_MAX_LEVELS}')
    return is_level.astype(np.float64), is_empty, problem

  def cells(self, values: np.ndarray) -> Any:
    """Returns the cells of coordinates `[N, K]`: levels, or numbers."""
    if self.levels:
      return np.array(self.levels, object)[values.argmax(axis=1)]
    values = values[:, 0]
    is_integer = column_types.ColumnType.get(self.type).is_integer
    if is_integer and np.all(np.isfinite(values) & (np.abs(values) < 2**62)):
      return values.astype(np.int64)
    return values


def by_column(columns: Sequence[Column], values: Any) -> list[np.ndarray]:
  """Splits coordinates `[..., K]` into those of each of some columns."""
  ends = np.cumsum([column.num_coordinates for column in columns])
  return np.split(values, ends[:-1], axis=-1)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Rows:
  """Rows of a table, as cells and as numbers for a flow.

  Attributes:
    frame: all cells, a `pandas.DataFrame`; None for arrays.
    x: modelled columns, float64 `[N, D]`, NaN in rows that are not complete.
    condition: coordinates of the condition, `[N, K]` (0 in rows that are not
      complete), or labels `[N]`; None for unconditional flows.
    is_complete: whether no cell of a row is empty, bool `[N]`.
    index: index of the rows for messages, named 'line' or 'row'; or None.
    group: number of the group of each row, `[N]`, or None.
  """

  x: np.ndarray
  is_complete: np.ndarray
  condition: np.ndarray | None = None
  frame: Any = None
  index: Any = None
  group: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.x)

  def take(self, which: np.ndarray) -> Self:
    """Returns chosen rows, by their places or a mask."""
    return type(self)(**{
        name: values if values is None else
        getattr(values, 'iloc', values)[which]  # Of a frame.
        for name, values in vars(self).items()})

  def complete(self) -> Self:
    """Returns the rows without an empty cell."""
    return self.take(self.is_complete)

  def spread(self, values: np.ndarray, axis: int = 0) -> np.ndarray:
    """Returns values of complete rows as those of all rows, NaN for others."""
    if self.is_complete.all():
      return values
    values = np.moveaxis(values, axis, 0)
    result = np.full([len(self), *values.shape[1:]], np.nan)
    result[self.is_complete] = values
    return np.moveaxis(result, 0, axis)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
  """The columns of a table, as a flow knows them.

  Coordinates of `x`, and of the condition, are in the order of `columns`.

  Attributes:
    columns: the columns.
    whitening: lower triangle of the matrix that whitens standardised `x`, see
      `layers.Standardize`, or none.

  Example:
    >>> import pandas as pd
    >>> schema = Schema(columns=[
    ...     Column(name='b'), Column(name='a', position=1),
    ...     Column(name='c', role='condition', levels=['x', 'y'])])
    >>> rows = schema.read(
    ...     pd.DataFrame({'c': ['y'], 'a': [2], 'b': [1]}))
    >>> rows.x.tolist(), rows.condition.tolist()
    ([[1.0, 2.0]], [[0.0, 1.0]])
    >>> schema.to_frame(rows.x, rows.condition).to_dict('records')
    [{'b': 1.0, 'c': 'y', 'a': 2.0}]
  """

  columns: tuple[Column, ...] = ()
  whitening: tuple[float, ...] = ()

  def __post_init__(self):
    object.__setattr__(self, 'columns', tuple(
        Column(**column) if isinstance(column, Mapping) else column
        for column in self.columns))
    object.__setattr__(self, 'whitening', tuple(self.whitening))

  @classmethod
  def of(cls, value: Any) -> Self | None:
    """Returns a schema, None, or what `to_json_object` returned, converted."""
    return cls(**value) if isinstance(value, Mapping) else value

  @classmethod
  def unnamed(cls, event_size: int, condition_size: int = 0) -> Self:
    """Returns the schema of an array and its conditions."""
    return cls().with_columns([
        *[Column()] * event_size, *[Column(role=CONDITION)] * condition_size])

  def to_json_object(self) -> dict[str, Any]:
    """Returns objects of JSON; see `of`."""
    columns = [
        {f.name: value[0] if f.name in ('mean', 'std') and len(value) == 1
         else value for f in dataclasses.fields(column)
         if (value := getattr(column, f.name)) != f.default}
        for column in self.columns]
    return {'columns': columns} | (
        {'whitening': self.whitening} if self.whitening else {})

  def with_role(self, *roles: str) -> tuple[Column, ...]:
    """Returns the columns of a role, those of the first one of several first.
    """
    return tuple(c for role in roles for c in self.columns if c.role == role)

  @property
  def modelled(self) -> tuple[Column, ...]:
    """Columns of `x`."""
    return self.with_role(MODELLED)

  @property
  def conditions(self) -> tuple[Column, ...]:
    """Columns of the condition."""
    return self.with_role(CONDITION)

  @property
  def is_named(self) -> bool:
    """Whether its columns have names."""
    return any(c.name for c in self.columns)

  @property
  def names(self) -> tuple[str, ...]:
    """Names of the columns of `x`; `x0`, `x1`, ... for those without one."""
    return tuple(c.name or f'x{i}' for i, c in enumerate(self.modelled))

  @property
  def condition_names(self) -> tuple[str, ...]:
    """Names of the columns of the condition, or `condition_0`, ..."""
    columns = self.conditions
    return tuple(
        c.name or (f'condition_{i}' if len(columns) > 1 else 'condition')
        for i, c in enumerate(columns))

  @property
  def condition_size(self) -> int:
    """Number of coordinates of the condition."""
    return sum(c.num_coordinates for c in self.conditions)

  @property
  def types(self) -> tuple[str, ...]:
    """Specs of the types of `x`; none if all are real numbers."""
    specs = tuple(c.type for c in self.modelled)
    return specs if {*specs} - {'real'} else ()

  def moments(self, role: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of the coordinates of a role."""
    columns = self.with_role(role)
    return (tuple(m for c in columns for m in c.mean),
            tuple(s for c in columns for s in c.std))

  def function(self) -> Self:
    """Returns the schema without what does not change a flow: names."""
    return dataclasses.replace(self, columns=tuple(
        dataclasses.replace(c, name='', position=0, levels=tuple(
            str(i) for i in range(len(c.levels))))
        for c in self.with_role(*_OF_FLOWS)))

  def with_columns(self, columns: Iterable[Column]) -> Self:
    """Returns the schema with further columns behind."""
    return dataclasses.replace(self, columns=(*self.columns, *(
        dataclasses.replace(column, position=i)
        for i, column in enumerate(columns, len(self.columns)))))

  def conditioned_on(self, names: Iterable[str]) -> Self:
    """Returns the schema in which named columns are the condition.

    They stand behind the others, in this order.
    """
    by_name = {c.name: c for c in self.columns}
    chosen = [dataclasses.replace(by_name.pop(name), role=CONDITION)
              for name in names]
    return dataclasses.replace(self, columns=(*by_name.values(), *chosen))

  def read(
      self, source: Any, name: str = 'inputs', missing: str = 'error',
      roles: Sequence[str] = _OF_FLOWS) -> Rows:
    """Reads the columns of a flow in a file of a table, or in a data frame.

    Columns are found by their names, in any order; others are passed over. A
    frame for a flow without names may have any.

    Args:
      source: path, see `table_files.read_frame`; or a `pandas.DataFrame`.
      name: of the argument or flag that names it, for messages.
      missing: 'error', or 'nan' to keep rows with an empty cell, which are not
        complete then.
      roles: of the columns to read.

    Raises:
      InvalidValueError: if the table is invalid, with all of its problems.
    """
    is_file = isinstance(source, str | os.PathLike)
    names = list(self._named(roles))
    shown = ', '.join(names[:_MAX_NAMED]) + (
        f', ... ({len(names)})' if len(names) > _MAX_NAMED else '')
    problems = problems_lib.Problems(options='none' if is_file else '')
    with errors.format_errors(
        name, source if is_file else 'a data frame',
        f'a table with the columns {shown}'):
      if is_file:
        frame = table_files.read_frame(source, problems=problems)
      else:
        frame = table_files.plain(source)
        if not self.is_named and len(frame.columns) == len(names) and not (
            {*names} <= {*frame.columns}):
          frame = frame.set_axis(names, axis=1)
      said = cells_lib.absence(names, list(frame.columns))
      errors.check(not said, problem=said)
      rows = self.rows(frame, problems, missing, roles)
      problems.check()
      if is_file:
        errors.check(len(rows), problem='It has no rows.')
        errors.check(
            rows.is_complete.any(), problem='All rows have an empty cell.')
    return rows

  def rows(
      self, frame: Any, problems: problems_lib.Problems,
      missing: str = 'error', roles: Sequence[str] = _OF_FLOWS) -> Rows:
    """Returns all rows of a frame of `table_files.read_frame`.

    What is wrong is added to `problems`; columns that have to be left out are
    NaN, as if the advice were taken. The arguments are those of `read`.
    """
    parts: dict[str, list[np.ndarray]] = {role: [] for role in ROLES}
    is_complete = np.ones(len(frame), bool)
    for name, column in self._named(roles).items():
      values, is_empty = _read(frame, column, name, problems, missing)
      parts[column.role].append(values)
      if name not in problems.dropped:
        is_complete &= ~is_empty
    x, condition, group = (
        np.concatenate([np.zeros([len(frame), 0]), *parts[role]], axis=1)
        for role in (MODELLED, CONDITION, GROUP))
    return Rows(
        frame=frame, index=frame.index, is_complete=is_complete,
        x=np.where(is_complete[:, np.newaxis], x, np.nan),
        condition=np.where(is_complete[:, np.newaxis], condition, 0.0)
        if parts[CONDITION] else None,
        group=group[:, 0] if parts[GROUP] else None)

  def _named(self, roles):
    """Returns the columns of roles by name, but for those passed over."""
    return {
        name: column for role, names in (
            (MODELLED, self.names), (CONDITION, self.condition_names),
            (GROUP, [c.name for c in self.with_role(GROUP)]))
        for name, column in zip(names, self.with_role(role), strict=True)
        if role in roles}

  def arrays(self, x: Any, condition: Any = None) -> tuple[Any, Any]:
    """Returns data and condition of a flow as arrays, where they are frames.

    Tensors and arrays are returned as they are. A frame `x` has the columns of
    the condition, too, unless this is given; rows of it with an empty cell are
    NaN, with a condition of 0. With names, a dict from these to cells, or to
    lists of cells, is a frame, too, and so is a list with text, one row, such
    as `[0.5, 'Oslo']`.

    Raises:
      InvalidValueError: if a frame lacks a column, has two of its name or an
        unknown level, or other than finite numbers where these are expected.
    """
    frame = self._framed('x', x, self.names)
    condition = self.condition_array(condition)
    if frame is None:
      return x, condition
    roles = (MODELLED,) if condition is not None or not (
        self.is_named and self.conditions) else _OF_FLOWS
    rows = self.read(frame, 'x', 'nan', roles)
    if condition is None:
      return rows.x, rows.condition
    if np.shape(condition)[:1] == (len(rows),) and np.ndim(condition) > 1:
      condition = np.array(condition, np.float64)
      gaps = np.isnan(condition).any(axis=tuple(range(1, condition.ndim)))
      rows.x[gaps], condition[gaps] = np.nan, 0.0
    return rows.x, condition

  def condition_array(self, condition: Any) -> Any:
    """Returns a condition as an array, where it is a frame; see `arrays`."""
    frame = self._framed('condition', condition, self.condition_names)
    if frame is None:
      return condition
    rows = self.read(frame, 'condition', 'nan', (CONDITION,))
    return np.where(rows.is_complete[:, np.newaxis], rows.condition, np.nan)

  def _framed(self, name: str, value: Any, names: Sequence[str]) -> Any:
    """Returns a frame, named cells, or those of one row, as a data frame.

    None for everything else.
    """
    if cells_lib.is_frame(value):
      return value
    if self.is_named and isinstance(value, list | tuple) and any(
        isinstance(cell, str) for cell in value):
      errors.check(len(value) == len(names), name, value, ', '.join(names))
      value = dict(zip(names, value, strict=True))
    if not self.is_named or not isinstance(value, Mapping):
      return None
    import pandas as pd  # Takes a second.

    cells = {str(column): np.asarray(cell) for column, cell in value.items()}
    shapes = {cell.shape for cell in cells.values() if cell.ndim}
    errors.check(
        len(shapes) <= 1 and all(len(shape) == 1 for shape in shapes), name,
        f'a dict of {", ".join(cells)}', 'one cell, or a list of cells, for '
        'each column, lists of one length')
    return pd.DataFrame(
        {column: cell if cell.ndim else cell[()]
         for column, cell in cells.items()}, None if shapes else [0])

  def to_frame(
      self, x: Any, condition: Any = None, **more: Any) -> Any:
    """Returns data and conditions as a `pandas.DataFrame` with their names.

    Columns are in the order of the table; categories are their levels again.

    Args:
      x: `[N, D]`.
      condition: `[N, K]`, or labels `[N]`; None for an unconditional flow.
      **more: further columns by name, `[N]`, which stand behind.
    """
    import pandas as pd  # Takes a second.

    found = []
    for role, values in ((MODELLED, x), (CONDITION, condition)):
      named = self._named([role])
      if values is not None and named:
        values = np.reshape(np.asarray(values), [len(values), -1])
        parts = by_column(list(named.values()), values)
        found += [
            (column.position, name, column.cells(part))
            for (name, column), part in zip(named.items(), parts, strict=True)]
    found.sort(key=operator.itemgetter(0))
    return pd.DataFrame({name: cells for _, name, cells in found} | more)


def _read(frame, column, name, problems, missing):
  """Returns the coordinates of a column, `[N, K]`, and which are empty."""
  places = np.flatnonzero(frame.columns == name)
  cells = frame.iloc[:, places[0]]
  values, is_empty, problem = column.numbers(cells)
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
