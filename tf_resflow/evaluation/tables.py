"""Vectors as tables with named columns."""

from collections.abc import Mapping, Sequence
import csv
import math
import os

import numpy as np
from numpy import typing as npt

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.datasets import table_file


def column_names(model: models.Flow) -> tuple[str, ...]:
  """Returns what the numbers of a flow's vectors are called.

  Args:
    model: a flow on vectors `[D]`.

  Returns:
    `D` names, those of its data or `x0`, `x1` and so on.
  """
  (size,) = model.event_shape
  return model.column_names or tuple(f'x{i}' for i in range(size))


def condition_names(spec: layers.ConditionSpec | None) -> tuple[str, ...]:
  """Returns what the numbers of a flow's conditions are called, if any.

  Args:
    spec: of the flow.
  """
  if spec is None:
    return ()
  size = math.prod(spec.shape)
  return spec.names or tuple(
      f'condition_{i}' if size > 1 else 'condition' for i in range(size))


def read_rows(
    path: str | os.PathLike, names: Sequence[str], name: str = 'inputs',
) -> np.ndarray:
  """Reads columns of a .csv file.

  Columns are found by their names, in any order; others are passed over.

  Args:
    path: of the file.
    names: of the columns, such as `column_names(model)`.
    name: of the argument or flag that names the file, for messages.

  Returns:
    Float64 `[N, D]`.

  Raises:
    InvalidValueError: if it is no table of numbers, or lacks a column.
  """
  expected = f'a .csv file of numbers with the columns {", ".join(names)}'
  with errors.refusing(name, path, expected):
    _, rows = table_file.read(os.fspath(path), names)
    errors.check_format(len(rows) > 0, 'It has no lines of numbers.')
  return rows


def append_columns(
    source: str | os.PathLike, path: str | os.PathLike,
    columns: Mapping[str, npt.ArrayLike], name: str = 'inputs') -> None:
  """Writes the lines of a .csv file with further columns behind its own.

  Args:
    source: the file, as `read_rows` reads it.
    path: of the file to write.
    columns: from names to numbers, one per line.
    name: of the argument or flag that names the source, for messages.

  Raises:
    InvalidValueError: if the source has a column of such a name.
    OSError: if a file cannot be read or written.
  """
  with errors.refusing(name, source, 'a .csv file'):
    names, lines = table_file.read_cells(os.fspath(source))
    taken = [column for column in columns if column in names]
    errors.check_format(
        not taken, f'It has a column {", ".join(taken)} already.')
  rows = zip(*columns.values(), strict=True)
  _write(path, (*names, *columns), (
      [*cells, *map(str, values)]
      for (_, cells), values in zip(lines, rows, strict=True)))


def write_table(
    path: str | os.PathLike, names: Sequence[str], rows: npt.ArrayLike) -> None:
  """Writes vectors as a .csv file.

  Numbers have the digits that give them back.

  Args:
    path: of the file.
    names: of the columns, `D`.
    rows: `[N, D]`.

  Raises:
    InvalidValueError: if there are other than `D` names.
    OSError: if the file cannot be written.
  """
  rows = np.asarray(rows)
  errors.check(
      rows.ndim == 2 and rows.shape[1] == len(names), 'names', len(names),
      f'one per column of an array {list(rows.shape)}')
  _write(path, names, ([str(value) for value in row] for row in rows))


def _write(path, names, lines):
  with open(path, 'w', encoding='utf-8', newline='') as file:
    writer = csv.writer(file, lineterminator='\n')
    writer.writerow(names)
    writer.writerows(lines)
