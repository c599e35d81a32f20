"""A table of numeric columns, as a data set."""

from collections.abc import Callable, Sequence
import csv
import math
from typing import Any, NamedTuple

import numpy as np

from tf_resflow.datasets import own_files
from tf_resflow.datasets import vector_info

_EXPECTED = (
  'a .csv file with a line of names and lines of numbers, comma-separated'
)
_MIN_ROWS = 10
_OTHER_MARKS = {'semicolons': ';', 'tabs': '\t', 'bars': '|'}


@own_files.cached_by_file
def open_file(path: str) -> vector_info.VectorInfo:
  """Reads a table whose columns are the numbers of vectors.

  The first line names the columns, unless it holds numbers only. A fifth of the
  rows, always the same, is the test part; vectors are standardised by the mean
  and the deviation of the others.

  Args:
    path: Of a .csv file.

  Raises:
    InvalidValueError: If it is no such table, naming the line and the column.

  Example:
    >>> with open('heights.csv', 'w') as file:
    ...   _ = file.write('height,weight\\n' + ''.join(
    ...       f'{160 + i % 7},{60 + i % 5}\\n' for i in range(20)))
    >>> open_file('heights.csv').columns
    ('height', 'weight')
  """

  def check(condition, advice):
    own_files.check(condition, 'table', path, _EXPECTED, advice)

  names, rows = read(path, check)
  check(
    len(rows) >= _MIN_ROWS, f'It has {len(rows)} of {_MIN_ROWS} lines of '
    'numbers that a density and a held-out part need at least.',
  )
  train, test = (rows[part] for part in own_files.held_out(len(rows)))
  mean, std = own_files.standardisation(names, train, test, check)
  parts = {'train': train, 'test': test}
  return vector_info.VectorInfo(
    name=f'table:{path}', event_size=len(names), columns=names,
    mean=mean, std=std,
    fingerprint=own_files.fingerprint(','.join(names), rows),
    num_train=len(train), num_test=len(test),
    load_fn=lambda part: (parts[part].astype(np.float32), None),
    description='A table of your own.',
  )


class Cells(NamedTuple):
  """The cells of a table as text.

  Attributes:
    names: Of the columns.
    lines: Number and cells of every line but that of names and empty ones.
  """

  names: tuple[str, ...]
  lines: list[tuple[int, list[str]]]


def read(
  path: str, check: Callable[[Any, str], None],
  wanted: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
  """Returns the names of the columns and the rows, float64 `[N, D]`.

  Args:
    path: Of a .csv file.
    check: Called with whether all is well, and what is wrong otherwise; it
      raises then.
    wanted: Names of the columns to read, in this order; all by default.
  """
  names, lines = read_cells(path, check)
  missing = [name for name in wanted or () if name not in names]
  check(not missing, f'It has no {", ".join(missing)}.')
  places = [names.index(name) for name in wanted or names]
  rows = []
  for number, cells in lines:
    row = [_number(cells[place]) for place in places]
    for place, value in zip(places, row, strict=True):
      name, cell = names[place], cells[place]
      check(
        value is not None and math.isfinite(value),
        f'Line {number}, column {name} holds {cell.strip()!r}, not a number. '
        'Fill it, or leave the line or the column out.',
      )
    rows.append(row)
  return tuple(wanted or names), np.array(rows, np.float64).reshape(
    [-1, len(places)]
  )


def read_cells(path: str, check: Callable[[Any, str], None]) -> Cells:
  """Returns the names of the columns, and the lines; see `read`."""
  try:
    with open(path, encoding='utf-8-sig', newline='') as file:
      lines = [
        (number, cells) for number, cells in enumerate(csv.reader(file), 1)
        if any(cell.strip() for cell in cells)
      ]
  except FileNotFoundError:
    check(False, 'There is no such file.')
  except IsADirectoryError:
    check(False, 'It is a folder; images:FOLDER takes one.')
  except UnicodeError as error:
    check(False, f'It cannot be read: {error}. Save it as UTF-8.')
  except (OSError, csv.Error) as error:
    check(False, f'It cannot be read: {error}.')
  check(lines, 'It is empty.')
  first = [cell.strip() for cell in lines[0][1]]
  numbers = [_number(cell) for cell in first]
  # pandas calls columns without names 0, 1, 2.
  has_names = None in numbers or numbers == list(range(len(first)))
  is_mixed = None in numbers and any(n is not None for n in numbers)
  check(
    not is_mixed, f'Its first line, {", ".join(first)}, mixes names and '
    'numbers. Give every column a name that is no number, or none.',
  )
  other = [name for name, mark in _OTHER_MARKS.items() if mark in first[0]]
  check(
    len(first) > 1 or not other, f'Its cells seem to lie between '
    f'{other[0] if other else ""}: write it with commas, and numbers with '
    'decimal points.',
  )
  names = tuple(first) if has_names else tuple(
    f'x{i}' for i in range(len(first))
  )
  check(
    all(names) and len(set(names)) == len(names),
    f'Its first line names the columns {", ".join(map(repr, names))}: every '
    'one needs a name of its own.',
  )
  lines = lines[has_names:]
  for number, cells in lines:
    check(
      len(cells) == len(names), f'Line {number} has {len(cells)} cells, not '
      f'{len(names)} as the first one.',
    )
  return Cells(names, lines)


def _number(cell):
  """Returns the number in a cell, or None; '1_000' is none."""
  try:
    return None if '_' in cell else float(cell)
  except ValueError:
    return None
