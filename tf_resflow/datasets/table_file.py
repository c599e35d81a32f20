"""A table of numeric columns, as a data set."""

from collections.abc import Sequence
import csv

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files

_EXPECTED = (
  'a .csv file with a line of names and lines of numbers, comma-separated')
_OTHER_MARKS = {'semicolons': ';', 'tabs': '\t', 'bars': '|'}


@own_files.opener('table', _EXPECTED)
def open_file(path: str) -> dataset_info.VectorInfo:
  """Reads a table whose columns are the numbers of vectors.

  The first line names the columns, unless it holds numbers only. A fifth of the
  rows, always the same, is the test part; vectors are standardised by the mean
  and the standard deviation of the others.

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
  names, rows = read(path)
  errors.check_format(
    len(rows) >= own_files.MIN_EXAMPLES, f'It has {len(rows)} of '
    f'{own_files.MIN_EXAMPLES} lines of numbers that a density and a held-out '
    'part need at least.')
  parts = {
    part: rows[places] for part, places in own_files.held_out(
      len(rows)).items()}
  mean, std = own_files.standardisation(names, **parts)
  return dataset_info.VectorInfo(
    name=f'table:{path}', event_size=len(names), columns=names,
    mean=mean, std=std,
    fingerprint=own_files.fingerprint(','.join(names), rows),
    num_train=len(parts['train']), num_test=len(parts['test']),
    load_fn=lambda part: (parts[part].astype(np.float32), None),
    description='A table of your own.')


def read(
  path: str, wanted: Sequence[str] | None = None,
) -> tuple[tuple[str, ...], np.ndarray]:
  """Returns the names of the columns and the rows, float64 `[N, D]`.

  Args:
    path: Of a .csv file.
    wanted: Names of the columns to read, in this order; all by default.

  Raises:
    FormatError: If it is no such table, naming the line and the column.
  """
  names, lines = read_cells(path)
  wanted = names if wanted is None else tuple(wanted)
  missing = [name for name in wanted if name not in names]
  errors.check_format(not missing, f'It has no {", ".join(missing)}.')
  places = [names.index(name) for name in wanted]
  # What is no number is NaN.
  rows = np.array(
    [[_number(cells[place]) for place in places] for _, cells in lines],
    np.float64,
  ).reshape([-1, len(places)])
  bad = np.argwhere(~np.isfinite(rows))
  if len(bad):
    row, column = bad[0]
    number, cells = lines[row]
    raise errors.FormatError(
      f'Line {number}, column {wanted[column]} holds '
      f'{cells[places[column]].strip()!r}, not a number. Fill it, or leave the '
      'line or the column out.')
  return wanted, rows


def read_cells(
  path: str,
) -> tuple[tuple[str, ...], list[tuple[int, list[str]]]]:
  """Returns the names of the columns, and the cells as text; see `read`.

  Of every line but that of names and empty ones, its number and its cells.
  """
  with own_files.reading(), open(path, encoding='utf-8-sig', newline='') as f:
    lines = [
      (number, cells) for number, cells in enumerate(csv.reader(f), 1)
      if any(cell.strip() for cell in cells)]
  errors.check_format(lines, 'It is empty.')
  first = [cell.strip() for cell in lines[0][1]]
  numbers = [_number(cell) for cell in first]
  # pandas calls columns without names 0, 1, 2.
  has_names = None in numbers or numbers == list(range(len(first)))
  errors.check_format(
    numbers.count(None) in (0, len(first)), 'Its first line, '
    f'{", ".join(first)}, mixes names and numbers. Give every column a name '
    'that is no number, or none.')
  for name, mark in _OTHER_MARKS.items():
    errors.check_format(
      len(first) > 1 or mark not in first[0], f'Its cells seem to lie between '
      f'{name}: write it with commas, and numbers with decimal points.')
  names = tuple(
    name if has_names else f'x{i}' for i, name in enumerate(first))
  errors.check_format(
    all(names) and len(set(names)) == len(names),
    f'Its first line names the columns {", ".join(map(repr, names))}: every '
    'one needs a name of its own.')
  lines = lines[has_names:]
  for number, cells in lines:
    errors.check_format(
      len(cells) == len(names), f'Line {number} has {len(cells)} cells, not '
      f'{len(names)} as the first one.')
  return names, lines


def _number(cell):
  """Returns the number in a cell, or None; '1_000' is none."""
  try:
    return None if '_' in cell else float(cell)
  except ValueError:
    return None
