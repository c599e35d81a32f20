"""Files of tables: frames of cells, their numbers, and all their problems."""

from collections.abc import Iterable, Iterator, Sequence
import csv
import gzip
import io
import itertools
import os
import re
import shlex
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import frames
from tf_resflow.specs import reading
from tf_resflow.specs import spec

# Suffixes of names; files with other names are read as text.
SUFFIXES = ('.csv', '.tsv', '.txt', '.csv.gz', '.tsv.gz', '.txt.gz', '.parquet',
            '.feather', '.xlsx')
_REFUSED = {
  ('.pkl', '.pickle'): 'A pickle can run any code: save it as .parquet.',
  ('.xls', '.ods', '.xlsb'): 'Save it as .xlsx or .csv.',
  ('.npz', '.npy'): 'Use array:FILE.'}

# Bounds of what compressed files may hold, in bytes.
MAX_TEXT_BYTES = 4 * 2**30
MAX_WORKBOOK_BYTES = 2**29
_CHUNK = 2**20
# Rows that are lists of strings at a time.
_BATCH = 2**14

# The comma is last, as numbers and names may hold it.
_SEPARATORS = ('\t', ';', '|', ',')
_NUMBER = r'[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?'
# What may have thousands separators.
_THOUSANDS = '[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+'
# What text may be meant as, and what to do then.
_HINTS = {
  _THOUSANDS: 'remove thousands separators',
  r'[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*|[0-9]{1,2}([./-])[0-9]{1,2}\1[0-9]{2,4}.*':
    'for a date give a number, such as days'}
# Integers above it are not all in float64.
_MAX_INTEGER = 2**53
_MAX_COLUMNS = 30
# How the description of a column with text begins.
HOLDS_TEXT = 'holds text such as'


class Problems:
  """Collects the problems of a table.

  Attributes:
    where: Which file following problems are in, if not the first.
    dropped: Names of columns that have to be left out.
    categories: Those of them that can be conditions.

  Args:
    drop: Names of columns that are already left out.
    options: Advised as 'flags' or 'arguments'; empty for none.

  Example:
    >>> problems = Problems()
    >>> problems.add('age', 'is empty in line 7', 'missing')
    >>> problems.add('city', "holds text such as 'Rome' in line 2")
    >>> problems.check()
    Traceback (most recent call last):
    tf_resflow.errors.FormatError: It has problems:
      age: is empty in line 7
      city: holds text such as 'Rome' in line 2
    Add --drop=city --missing=drop to leave these out.
  """

  def __init__(self, drop: Sequence[str] = (), options: str = 'flags'):
    self.where = ''
    self.dropped: list[str] = []
    self.categories: list[str] = []
    self._options = options
    self._given: dict[str, Any] = {
      'drop': frames.as_names(drop), 'missing': 'drop'}
    self._remedies: set[str] = set()
    self._texts: dict[str, list[str]] = {}

  def add(self, column: str, text: str, remedy: str = 'drop') -> None:
    """Adds a problem.

    Args:
      column: Name of the column; empty for the whole table.
      text: What is wrong, such as 'is infinite in line 3'.
      remedy: Option that leaves it out, 'drop' or 'missing'; or 'mend'.
    """
    if remedy == 'drop' and column not in self.dropped:
      self.dropped.append(column)
      if self._options == 'flags' and (
        ',' in column or column != column.strip()):
        text += f' (rename {column!r}, without commas and outer spaces)'
        remedy = 'mend'
      else:
        self._given['drop'] += (column,)
    self._remedies.add(remedy if self._options else 'mend')
    self._texts.setdefault(column, []).append(self.where + text)

  def check(self) -> None:
    """Raises `FormatError` if there are problems."""
    lines = [f'  {column}{": " * bool(column)}{"; ".join(texts)}'
             for column, texts in self._texts.items()]
    if len(lines) > _MAX_COLUMNS:
      lines[_MAX_COLUMNS:] = [f'  ... ({len(lines):,} columns in all)']
    given = {name: value for name, value in self._given.items()
             if name in self._remedies}
    advice = [f'Add {self._text_of(given)} to leave these out.'] * bool(given)
    if names := tuple(self.categories):
      given |= {'condition': names, 'drop': tuple(
        name for name in given['drop'] if name not in names)}
      advice.append(f'Or add {self._text_of(given)} to model the others given '
                    f'{spec.text_of(names)}.')
    advice += ['Mend the file.'] * ('mend' in self._remedies)
    errors.check_format(
      not lines, '\n'.join(['It has problems:', *lines, ' '.join(advice)]))

  def _text_of(self, options):
    """Returns options as flags or arguments, but for empty ones."""
    is_flags = self._options == 'flags'
    return (' ' if is_flags else ', ').join(
      shlex.quote(f'--{name}={spec.text_of(value)}')
      if is_flags else f'{name}={value!r}'
      for name, value in options.items() if value)


def is_table(path: str | os.PathLike | None) -> bool:
  """Returns whether the name of a file is that of a table."""
  return os.fspath(path or '').lower().endswith(SUFFIXES)


def read_frame(
  path: str | os.PathLike, sheet: str | None = None,
  problems: Problems | None = None) -> Any:
  """Reads a table: .csv, .tsv or .txt (also .gz), .parquet, .feather, .xlsx.

  Cells of text files stay text, with decimal points; so do those of .xlsx. Rows
  without any cell are left out. Columns without a name are called 'Unnamed: I',
  as pandas does, and all of a file without names 'x0', 'x1' and so on.

  Args:
    path: Path of a local file.
    sheet: Name of a sheet of an .xlsx file, by default the first one.
    problems: Takes lines of a wrong length, which are left out; by default they
      are an error.

  Returns:
    A `pandas.DataFrame`. Its index has the line numbers of a text file and is
    named 'line'; otherwise it is named 'row'.

  Raises:
    FormatError: If the file cannot be read, or is no table.

  Example:
    >>> with open('ages.csv', 'w') as file:
    ...   _ = file.write('name;age\\nAda;36,5\\nAlan;41')
    >>> print(read_frame('ages.csv').to_csv())
    line,name,age
    2,Ada,36.5
    3,Alan,41
    <BLANKLINE>
  """
  path = os.fspath(path)
  reading.check_regular(path)
  name = path.lower()
  for suffixes, reason in _REFUSED.items():
    errors.check_format(not name.endswith(suffixes), reason)
  errors.check_format(
    sheet is None or name.endswith('.xlsx'), 'Only .xlsx files have sheets.')
  with reading.reading():
    import pandas as pd  # Takes a second.

    if name.endswith('.xlsx'):
      return _framed(_cells_of_sheet(path, sheet), 'row')
    if name.endswith(('.parquet', '.feather')):
      reading.check_columns(path)
      read = pd.read_feather if name.endswith('.feather') else pd.read_parquet
      with open(path, 'rb') as file:
        # So that integers stay integers beside missing ones.
        return plain(read(file, dtype_backend='numpy_nullable'))
    content = _content(path)
    separator = _separator(content)
    return _framed(_records(content, separator), 'line', problems, separator)


def plain(frame: Any) -> Any:
  """Returns a frame with names that are text, and an index called 'row'."""
  return frame.set_axis(
    _with_names([str(name) for name in frame.columns]), axis=1
  ).rename_axis(index='row')


def _with_names(names: Sequence[str]) -> list[str]:
  return [name or f'Unnamed: {i}' for i, name in enumerate(names)]


def _content(path):
  """Returns the bytes of a text file, which may be compressed."""
  is_gzip, content = path.lower().endswith('.gz'), io.BytesIO()
  with gzip.open(path) if is_gzip else open(path, 'rb') as file:
    while chunk := file.read(_CHUNK):
      content.write(chunk)
      errors.check_format(
        not is_gzip or content.tell() <= MAX_TEXT_BYTES, 'It holds more than '
        f'{MAX_TEXT_BYTES // 2**30} GiB: decompress it first.')
  return content.getvalue()


def _records(content: bytes, separator: str) -> Iterator[tuple[int, list[str]]]:
  """Yields the lines at which records begin, and their cells, unless blank."""
  lines = io.TextIOWrapper(
    io.BytesIO(content), encoding='utf-8-sig', newline='')
  reader, line = csv.reader(lines, delimiter=separator), 1
  for cells in reader:
    if any(map(str.strip, cells)):
      yield line, cells
    line = reader.line_num + 1


def _separator(content):
  """Returns the mark that splits the first two lines into the most cells."""
  counts = {separator: min((len(cells) for _, cells in itertools.islice(
    _records(content, separator), 2)), default=0) for separator in _SEPARATORS}
  best = max(_SEPARATORS, key=counts.__getitem__)
  return best if counts[best] > 1 else ','


def _names(first):
  """Returns the names in a first line, or None if it has numbers."""
  is_number = {bool(re.fullmatch(_NUMBER, cell.replace(',', '.')))
               for cell in first if cell}
  errors.check_format(
    len(is_number) == 1, f'Its first line, {", ".join(first[:10])}'
    f'{", ..." * (len(first) > 10)}, mixes names and numbers. Name all columns '
    '(not by numbers) or none.')
  # pandas names unnamed columns 0, 1, 2.
  is_range = [*filter(None, first)] in (
    [str(i) for i in range(n)] for n in (len(first), len(first) - 1))
  return None if True in is_number and not is_range else _with_names(first)


def _framed(
  records: Iterable[tuple[int, list[str]]], noun: str,
  problems: Problems | None = None, separator: str = ',') -> Any:
  """Returns the frame of records, whose places are called by a noun."""
  import pandas as pd

  head: Any = next(records := iter(records), None)
  errors.check_format(head, 'It is empty.')
  _, first = head
  names = _names([cell.strip() for cell in first])
  if names is None:
    names = [f'x{i}' for i in range(len(first))]
    records = itertools.chain([head], records)
  sizes: dict[int, int] = {}

  def part(batch):
    sizes.update((place, len(cells)) for place, cells in batch
                 if len(cells) != len(first))
    rows = {place: cells for place, cells in batch if place not in sizes}
    return pd.DataFrame(
      list(rows.values()), pd.Index(rows, dtype='int64', name=noun),
      range(len(first)), 'str')

  batches = iter(lambda: list(itertools.islice(records, _BATCH)), [])
  frame = pd.concat(list(map(part, itertools.chain([[]], batches))))
  if sizes:
    where = places(
      pd.Index(sizes, name=noun), [True] * len(sizes))
    problem = (f'has {next(iter(sizes.values()))} cells, not {len(first)} like '
               f'the first line, {where}')
    if problems is None:
      raise errors.FormatError(f'It {problem}.')
    problems.add('', problem, 'mend')
  return (frame if separator == ',' else _with_decimal_points(frame)).set_axis(
    names, axis=1)


def _with_decimal_points(frame):
  """Replaces decimal commas by points, if a frame has any.

  A cell such as 1,234 shows nothing, as its comma may separate thousands.
  """
  def matches(pattern):
    return frame.apply(lambda text: text.str.strip().str.fullmatch(pattern))

  commas, points = (matches(
    rf'[+-]?[0-9]*{mark}[0-9]+(?:[eE][+-]?[0-9]+)?') for mark in (',', '[.]'))
  if not (commas & ~matches(_THOUSANDS)).any(axis=None):
    return frame
  has_point = points.any(axis=1).to_numpy(bool)
  errors.check_format(
    not has_point.any(), 'It has decimal commas, but also points '
    f'{places(frame.index, has_point)}: use one of them, and '
    'remove thousands separators.')
  return frame.mask(
    commas, frame.apply(lambda text: text.str.replace(',', '.', regex=False)))


def _cells_of_sheet(path, sheet):
  """Returns the rows of an .xlsx file, and their numbers."""
  import pandas as pd

  try:
    # openpyxl parses XML with it, where it is installed.
    import defusedxml  # noqa: F401
    import openpyxl  # noqa: F401
  except ImportError:
    raise errors.FormatError(
      'Reading .xlsx requires pip install openpyxl defusedxml; or save it as '
      '.csv.') from None
  reading.check_archive(path, MAX_WORKBOOK_BYTES)
  try:
    with open(path, 'rb') as file, pd.ExcelFile(file, 'openpyxl') as book:
      errors.check_format(
        sheet is None or sheet in book.sheet_names, f'It has no sheet {sheet}; '
        f'its sheets are {", ".join(map(str, book.sheet_names))}.')
      rows = pd.read_excel(
        book, sheet or 0, header=None, dtype=str, na_filter=False
      ).values.tolist()
  except errors.FormatError:
    raise
  except Exception as error:
    # openpyxl has no type of error for damaged files.
    raise ValueError(str(error)) from error
  return [(i, cells) for i, cells in enumerate(rows, 1)
          if any(map(str.strip, cells))]


def places(index: Any, mask: np.ndarray) -> str:
  """Describes the rows of a mask, such as 'in lines 36, 77, 80 (12 rows)'.

  The index is that of a frame of `read_frame`.
  """
  found = index[mask]
  noun = f'{index.name}{"s" * (len(found) > 1)}'
  more = f' ({len(found):,} rows)' if len(found) > 3 else ''
  return f'in {noun} {", ".join(map(str, found[:3]))}{more}'


def numbers(cells: Any) -> tuple[np.ndarray, np.ndarray, str]:
  """Returns the numbers in a column of `read_frame`, `[N]`.

  Text of a number is that number, exactly as Python reads it, with a decimal
  point and without thousands separators; true and false are 1 and 0.

  Returns:
    Float64 `[N]`, NaN where there is none; bool `[N]`, the empty cells, as are
    NA, NaN, null and the like; and a description of what else it holds, empty
    if that is finite numbers.

  Example:
    >>> import pandas as pd
    >>> numbers(pd.Series(['1.5', '', '12 kg']).rename_axis('row'))[2]
    "holds text such as '12 kg' in row 2"
  """
  import pandas as pd
  from pyarrow import csv

  if problem := frames.dtype_problem(cells):
    return np.full(len(cells), np.nan), cells.isna().to_numpy(bool), problem
  if pd.api.types.is_any_real_numeric_dtype(cells):
    values = cells.to_numpy(np.float64, na_value=np.nan)
    is_empty: Any = np.isnan(values)
    is_integer: Any = pd.api.types.is_integer_dtype(cells)
  else:
    text = cells.astype('str').fillna('').str.strip()
    # pandas has no public list of its own.
    is_empty = text.isin(csv.ConvertOptions().null_values).to_numpy(bool)
    lower = text.str.lower()
    if lower[~is_empty].isin(['true', 'false']).all():
      text = lower.replace({'true': '1', 'false': '0'})
    is_number = text.str.fullmatch(
      f'{_NUMBER}|[+-]?inf(?:inity)?', case=False).to_numpy(bool)
    # By Python's float, the only one that is exact.
    values = text.where(is_number, 'nan').to_numpy(object).astype(np.float64)
    is_integer = text.str.fullmatch('[+-]?[0-9]+').to_numpy(bool)
    is_text = ~is_number & ~is_empty
    if is_text.any():
      shown = ', '.join(
        repr(cell[:30]) for cell in text[is_text].drop_duplicates().iloc[:3])
      problem = '; '.join([
        f'{HOLDS_TEXT} {shown} {places(cells.index, is_text)}', *(
          hint for pattern, hint in _HINTS.items()
          if text[is_text].str.fullmatch(pattern).any())])
  for mask, what in (
    (np.isinf(values), 'is infinite'),
    (is_integer & (np.abs(values) >= _MAX_INTEGER),
     'holds integers beyond 2^53, which float64 rounds,')):
    if mask.any():
      problem += f'{"; " * bool(problem)}{what} {places(cells.index, mask)}'
  if is_empty.all() and len(cells):
    problem = 'is empty'
  return values, is_empty, problem
