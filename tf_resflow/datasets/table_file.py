"""A table of numeric columns, as a data set."""

from collections.abc import Callable, Sequence
import csv
import math
from typing import Any

import numpy as np

from tf_resflow.datasets import own_files
from tf_resflow.datasets import vector_info

_EXPECTED = (
  'a .csv file with a line of names and lines of numbers, comma-separated'
)
_MIN_ROWS = 10


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
    len(rows) >= _MIN_ROWS, f'It has {len(rows)} lines of numbers; a density '
    f'and a held-out part need {_MIN_ROWS} at least.',
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
  try:
    with open(path, encoding='utf-8-sig', newline='') as file:
      lines = [
        (number, cells) for number, cells in enumerate(csv.reader(file), 1)
        if any(cell.strip() for cell in cells)
      ]
  except FileNotFoundError:
    check(False, 'There is no such file.')
  except (OSError, UnicodeError, csv.Error) as error:
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
  names = tuple(first) if has_names else tuple(
    f'x{i}' for i in range(len(first))
  )
  check(
    all(names) and len(set(names)) == len(names),
    f'Its first line names the columns {", ".join(map(repr, names))}: every '
    'one needs a name of its own.',
  )
  missing = [name for name in wanted or () if name not in names]
  check(not missing, f'It has no {", ".join(missing)}.')
  places = [names.index(name) for name in wanted or names]
  rows = []
  for number, cells in lines[has_names:]:
    check(
      len(cells) == len(names), f'Line {number} has {len(cells)} cells, and '
      f'there are {len(names)} columns.',
    )
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


def _number(cell):
  """Returns the number in a cell, or None; '1_000' is none."""
  try:
    return None if '_' in cell else float(cell)
  except ValueError:
    return None
