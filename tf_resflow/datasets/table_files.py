"""Reading of files of tables into data frames, whose cells are unchanged."""

from collections.abc import Sequence
import csv
import gzip
import io
import itertools
import os
import re
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import own_files

# Suffixes of names; files with other names are read as text.
TEXT_SUFFIXES = ('.csv', '.tsv', '.txt', '.csv.gz', '.tsv.gz', '.txt.gz')
SUFFIXES = (*TEXT_SUFFIXES, '.parquet', '.feather', '.xlsx')
_REFUSED = {
  ('.pkl', '.pickle'): 'A pickle can run any code: save it as .parquet.',
  ('.xls', '.ods', '.xlsb'): 'Save it as .xlsx or .csv.',
  ('.npz', '.npy'): 'Use array:FILE.'}

# Bounds of what compressed files may hold, in bytes.
MAX_TEXT_BYTES = 4 * 2**30
MAX_WORKBOOK_BYTES = 2**29

# The comma is last, as numbers and names may hold it.
_SEPARATORS = ('\t', ';', '|', ',')
_CHUNK = 2**20
# Bytes of which a line may have as many.
_BLOCK = 2**24

NUMBER = r'[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?'
# What may have thousands separators, with either mark.
_THOUSANDS = r'[+-]?[1-9][0-9]{0,2}(?:[.,][0-9]{3})+'


def is_table(path: str | os.PathLike | None) -> bool:
  """Returns whether the name of a file is that of a table."""
  return os.fspath(path or '').lower().endswith(SUFFIXES)


def read_frame(path: str | os.PathLike, sheet: str | None = None) -> Any:
  """Reads a table: .csv, .tsv or .txt (also .gz), .parquet, .feather, .xlsx.

  Cells of text files stay text, with decimal points. Rows without any cell are
  left out. Columns without a name are called 'Unnamed: I', as pandas does, and
  all of a file without names 'x0', 'x1' and so on.

  Args:
    path: Path of a local file.
    sheet: Name of a sheet of an .xlsx file, by default the first one.

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
  frame, problem = read(path, sheet)
  errors.check_format(not problem, f'It has {problem}.')
  return frame


def read(
  path: str | os.PathLike, sheet: str | None = None) -> tuple[Any, str]:
  """Reads a table like `read_frame`, without lines of a wrong length.

  Returns:
    The frame, and a description of these lines, which is empty if there are
    none.
  """
  path = os.fspath(path)
  own_files.check_regular(path)
  name = path.lower()
  for suffixes, reason in _REFUSED.items():
    errors.check_format(not name.endswith(suffixes), reason)
  errors.check_format(
    sheet is None or name.endswith('.xlsx'), 'Only .xlsx files have sheets.')
  with own_files.reading():
    import pandas as pd  # Takes a second.

    if name.endswith('.xlsx'):
      return _read_workbook(path, sheet), ''
    for suffix, read_fn in (
      ('.parquet', pd.read_parquet), ('.feather', pd.read_feather)):
      if name.endswith(suffix):
        with open(path, 'rb') as file:
          # So that integers stay integers beside missing ones.
          return plain(read_fn(file, dtype_backend='numpy_nullable')), ''
    return _read_text(_content(path))


def plain(frame: Any) -> Any:
  """Returns a frame with names that are text, and an index called 'row'."""
  return frame.set_axis(
    _with_names([str(name) for name in frame.columns]), axis=1
  ).rename_axis(index='row')


def places(index: Any, mask: np.ndarray) -> str:
  """Describes the rows of a mask, such as 'in lines 36, 77, 80 (12 rows)'.

  Args:
    index: Index of a frame of `read_frame`, `[N]`.
    mask: Bool `[N]`.
  """
  found = index[mask]
  noun = f'{index.name}{"s" * (len(found) > 1)}'
  more = f' ({len(found):,} rows)' if len(found) > 3 else ''
  return f'in {noun} {", ".join(map(str, found[:3]))}{more}'


def _with_names(names: Sequence[str]) -> list[str]:
  return [name or f'Unnamed: {i}' for i, name in enumerate(names)]


def _content(path):
  """Returns the bytes of a text file, which may be compressed."""
  opened = gzip.open if path.lower().endswith('.gz') else open
  content = io.BytesIO()
  with opened(path, 'rb') as file:
    while chunk := file.read(_CHUNK):
      content.write(chunk)
      errors.check_format(
        opened is open or content.tell() <= MAX_TEXT_BYTES,
        f'It holds more than {MAX_TEXT_BYTES // 2**30} GiB: decompress it '
        'first.')
  return content.getvalue()


def _records(content, separator):
  """Yields the cells of lines that are not blank, and where these begin."""
  lines = io.TextIOWrapper(
    io.BytesIO(content), encoding='utf-8-sig', newline='')
  reader, start = csv.reader(lines, delimiter=separator), 0
  for cells in reader:
    if any(cell.strip() for cell in cells):
      yield start, reader.line_num, [cell.strip() for cell in cells]
    start = reader.line_num


def _separator(content):
  """Returns the mark that splits the first line like the second one."""
  counts = {}
  for separator in _SEPARATORS:
    (*_, first), *second = itertools.islice(_records(content, separator), 2)
    counts[separator] = len(first)
    if len(first) > 1 and all(
      len(cells) == len(first) for *_, cells in second):
      return separator
  return max(reversed(_SEPARATORS), key=counts.__getitem__)


def _names(first, numbers):
  """Returns the names in a first line, or None if it has numbers.

  Args:
    first: The cells as text.
    numbers: The numbers in those that are not empty; None for names.
  """
  errors.check_format(
    numbers.count(None) in (0, len(numbers)), 'Its first line, '
    f'{", ".join(first[:10])}{", ..." * (len(first) > 10)}, mixes names and '
    'numbers. Name all columns (not by numbers) or none.')
  # pandas names unnamed columns 0, 1, 2.
  has_names = None in numbers or numbers == list(range(len(numbers)))
  return _with_names(first) if has_names else None


def _number(cell):
  cell = cell.replace(',', '.')
  return float(cell) if re.fullmatch(NUMBER, cell) else None


def _read_text(content):
  """Reads the text of a table; see `read`."""
  import pandas as pd
  import pyarrow as pa
  from pyarrow import csv as arrow_csv

  errors.check_format(
    next(_records(content, ','), None) is not None, 'It is empty.')
  separator = _separator(content)
  start, end, first = next(_records(content, separator))
  names = _names(first, [_number(cell) for cell in first if cell])
  num_skipped = start if names is None else end
  wrong: list[Any] = []

  def skip(row):
    wrong.append(row)
    return 'skip'

  keys = [str(i) for i in range(len(first))]
  frame = arrow_csv.read_csv(
    pa.BufferReader(content),
    arrow_csv.ReadOptions(
      # Line numbers are not known to threads.
      use_threads=False, block_size=_BLOCK, skip_rows=num_skipped,
      column_names=keys),
    arrow_csv.ParseOptions(
      delimiter=separator, newlines_in_values=True, ignore_empty_lines=False,
      invalid_row_handler=skip),
    arrow_csv.ConvertOptions(
      column_types=dict.fromkeys(keys, pa.string()), strings_can_be_null=False)
  ).to_pandas()
  frame.columns = names or [f'x{i}' for i in range(len(first))]
  lines = num_skipped + 1 + np.arange(len(frame) + len(wrong))
  is_wrong = np.isin(lines, [row.number for row in wrong])
  if b'"' in content:
    # Cells in quotes may have several lines.
    num_breaks = np.zeros(len(lines), int)
    num_breaks[is_wrong] = [row.text.count('\n') for row in wrong]
    for i in range(len(first)):
      num_breaks[~is_wrong] += frame.iloc[:, i].str.count('\n').to_numpy(int)
    lines += np.cumsum(num_breaks) - num_breaks
  frame.index = pd.Index(lines[~is_wrong], name='line')
  is_filled = np.zeros(len(frame), bool)
  for i in range(len(first)):
    is_filled |= (frame.iloc[:, i].str.strip() != '').to_numpy(bool)
  frame = frame[is_filled]
  if separator != ',':
    frame = _with_decimal_points(frame)
  if not wrong:
    return frame, ''
  return frame, (
    f'{wrong[0].actual_columns} cells, not {len(first)} like the first line, '
    + places(pd.Index(lines, name='line'), is_wrong))


def _with_decimal_points(frame):
  """Replaces decimal commas by points, if a frame has any.

  A cell such as 1,234 shows nothing, as its comma may separate thousands.
  """
  texts = [frame.iloc[:, i].str.strip() for i in range(frame.shape[1])]

  def has_mark(text, mark):
    return text.str.fullmatch(NUMBER.replace(r'\.', f'[{mark}]')) & (
      text.str.contains(mark, regex=False))

  def shows(text, mark):
    return (has_mark(text, mark) & ~text.str.fullmatch(_THOUSANDS)).any()

  is_by_point = [shows(text, '.') for text in texts]
  if not any(shows(text, ',') for text, is_other in zip(
    texts, is_by_point, strict=True) if not is_other):
    return frame
  replaced = frame.copy()
  for i, text in enumerate(texts):
    if is_by_point[i]:
      continue
    has_point = has_mark(text, '.').to_numpy(bool)
    if has_point.any():
      raise errors.FormatError(
        f'It has decimal commas, but also {text[has_point].iloc[0]} '
        f'{places(frame.index, has_point)}: remove thousands separators.')
    replaced.isetitem(i, frame.iloc[:, i].mask(
      has_mark(text, ','), text.str.replace(',', '.', regex=False)))
  return replaced


def _read_workbook(path, sheet):
  """Reads a sheet of an .xlsx file."""
  import pandas as pd

  try:
    # openpyxl parses XML with it, where it is installed.
    import defusedxml  # noqa: F401
    import openpyxl  # noqa: F401
  except ImportError:
    raise errors.FormatError(
      "Reading .xlsx requires pip install 'tf_resflow[tables]'; or save it as "
      '.csv.') from None
  own_files.check_archive(path, MAX_WORKBOOK_BYTES)
  with open(path, 'rb') as file:
    try:
      with pd.ExcelFile(file, engine='openpyxl') as book:
        errors.check_format(
          sheet is None or sheet in book.sheet_names, f'It has no sheet '
          f'{sheet}; its sheets are {", ".join(map(str, book.sheet_names))}.')
        cells = pd.read_excel(
          book, 0 if sheet is None else sheet, header=None, dtype=object,
          keep_default_na=False, na_values=[''])
    except errors.FormatError:
      raise
    except Exception as error:
      # openpyxl has no type of error for damaged files.
      raise ValueError(str(error)) from error
  cells = cells.dropna(how='all')
  errors.check_format(len(cells), 'It is empty.')
  cells.index = pd.Index(cells.index + 1, name='row')
  head = ['' if pd.isna(cell) else cell for cell in cells.iloc[0]]
  first = [str(cell).strip() for cell in head]
  names = _names(first, [
    cell if isinstance(cell, int | float) else None
    for cell in head if cell != ''])
  cells.columns = names or [f'x{i}' for i in range(len(first))]
  return cells if names is None else cells.iloc[1:]
