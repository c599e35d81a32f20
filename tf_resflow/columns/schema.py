"""The schema of a table as a value: what its columns are to a flow.

That is their types, levels and roles, and what was fitted to them. It stands in
model.json, and is chosen once, at the first start of a run. `rows` reads frames
by it.
"""

from collections.abc import Iterable, Mapping, Sequence
import dataclasses
from typing import Any, Self

import numpy as np

from tf_resflow import errors
from tf_resflow.specs import registries

# Roles of columns: coordinates of x, of the condition c of p(x|c), groups of
# rows that are held out together, and weights of rows. Older runs have stored
# unused ones, too.
MODELLED, CONDITION, GROUP, WEIGHT, _ = ROLES = (
    'modelled', 'condition', 'group', 'weight', 'unused')
OF_FLOWS = (MODELLED, CONDITION)


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

  @property
  def num_coordinates(self) -> int:
    """Number of numbers that it is to a flow."""
    return max(1, len(self.levels))

  @property
  def labels(self) -> list[str]:
    """Names of its coordinates; those of levels are `COLUMN=LEVEL`."""
    return [f'{self.name}={level}' for level in self.levels] or [self.name]


def _given(value):
  """Returns the fields of a dataclass that differ from their defaults."""
  return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)
          if getattr(value, f.name) != f.default}


def by_column(columns: Sequence[Column], values: Any) -> list[np.ndarray]:
  """Splits coordinates `[..., K]` into those of each of some columns."""
  ends = np.cumsum([column.num_coordinates for column in columns])
  return np.split(values, ends[:-1], axis=-1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schema:
  """The columns of a table, as a flow knows them.

  Coordinates of `x`, and of the condition, are in the order of `columns`.

  Attributes:
    columns: the columns.
    whitening: lower triangle of the matrix that whitens standardised `x`, see
      `layers.Standardize`, or none.
    dtype: of `x`, 'float64' where float32 would cost digits of what is
      standardised and whitened; by default that of the flow.
  """

  columns: tuple[Column, ...] = ()
  whitening: tuple[float, ...] = ()
  dtype: str | None = None

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
  def unnamed(cls, event_size: int) -> Self:
    """Returns the schema of an array."""
    return cls().with_columns([Column()] * event_size)

  def to_json_object(self) -> dict[str, Any]:
    """Returns objects of JSON; see `of`."""
    columns = [{
        name: value[0] if name in ('mean', 'std') and len(value) == 1 else value
        for name, value in _given(column).items()} for column in self.columns]
    return _given(self) | {'columns': columns}

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
    return tuple(self.by_name(MODELLED))

  @property
  def condition_names(self) -> tuple[str, ...]:
    """Names of the columns of the condition, or `condition_0`, ..."""
    return tuple(self.by_name(CONDITION))

  def by_name(self, *roles: str) -> dict[str, Column]:
    """Returns the columns of roles by name, those of the first role first."""
    found: dict[str, Column] = {}
    for role in roles:
      columns = self.with_role(role)
      default = 'x{}' if role != CONDITION else (
          'condition_{}' if len(columns) > 1 else 'condition')
      found |= {c.name or default.format(i): c for i, c in enumerate(columns)}
    return found

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
        for c in self.with_role(*OF_FLOWS)))

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
