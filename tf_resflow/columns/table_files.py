"""Files of tables, read as frames of cells, and written."""

from collections.abc import Iterable, Iterator
import contextlib
import csv
import gzip
import itertools
import os
from typing import Any

import numpy as np

from tf_resflow import drafts
from tf_resflow import errors
from tf_resflow.columns import cells as cells_lib
from tf_resflow.columns import problems as problems_lib
from tf_resflow.specs import reading
from tf_resflow.specs import registries

_REFUSED = {
    ('.pkl', '.pickle'): 'A pickle can run any code: save it as .parquet.',
    ('.xls', '.ods', '.xlsb'): 'Save it as .xlsx or .csv.',
    ('.npz', '.npy'): 'Use array:FILE.'}

# Rows that are lists of strings at a time.
_BATCH = 2**14
# Types of columns of Parquet files, which may have empty cells.
_NULLABLE = ('boolean', 'Float32', 'Float64', 'string', *(
    f'{sign}nt{bits}' for sign in ('I', 'UI') for bits in (8, 16, 32, 64)))

# The comma is last, as numbers and names may hold it.
_SEPARATORS = ('\t', ';', '|', ',')


def is_table(path: str | os.PathLike | None) -> bool:
  """Returns whether the name of a file is that of a table."""
  return os.fspath(path or '').lower().endswith(registries.TABLE_SUFFIXES)


def read_frame(path: str | os.PathLike, sheet: str | None = None,
               problems: problems_lib.Problems | None = None) -> Any:
  """Reads a table: .csv, .tsv or .txt (also .gz), .parquet, .feather, .xlsx.

  Cells of text files stay text, with decimal points; so do those of .xlsx. Rows
  without any cell are left out. Columns without a name are called 'Unnamed: I',
  as pandas does, and all of a file without names 'x0', 'x1' and so on.

  Args:
    path: of a local file.
    sheet: name of a sheet of an .xlsx file, by default the first one.
    problems: takes lines of a wrong length, which are left out; by default they
      are an error.

  Returns:
    A `pandas.DataFrame`. Its index has the line numbers of a text file and is
    named 'line'; otherwise it is named 'row'.

  Raises:
    FormatError: if the file cannot be read, or is no table.

  Example:
    >>> with open('ages.csv', 'w') as file:
    ...   _ = file.write('name;age\\nAda;36,5\\nAlan;41')
    >>> print(read_frame('ages.csv').to_csv())
    line,name,age
    2,Ada,36.5
    3,Alan,41
    <BLANKLINE>
  """
  (frame,) = read_frames(path, sheet, problems)
  return frame


def read_frames(
    path: str | os.PathLike, sheet: str | None = None,
    problems: problems_lib.Problems | None = None,
    size: int | None = None) -> Iterator[Any]:
  """Yields the table of `read_frame` in parts, one after another.

  Args:
    path, sheet, problems: those of `read_frame`.
    size: rows of a part, of Parquet and of text with commas between cells;
      other files, and all by default, are one part.
  """
  reading.check_regular(path)
  name = os.fspath(path).lower()
  for suffixes, reason in _REFUSED.items():
    errors.check(not name.endswith(suffixes), problem=reason)
  errors.check(
      sheet is None or name.endswith('.xlsx'),
      problem='Only .xlsx files have sheets.')
  with reading.reading():
    import pandas as pd  # Takes a second.

    if name.endswith('.xlsx'):
      yield from _framed(_cells_of_sheet(path, sheet), 'row')
    elif size and name.endswith('.parquet'):
      yield from _parts_of_parquet(path, size)
    elif name.endswith(('.parquet', '.feather')):
      read = pd.read_feather if name.endswith('.feather') else pd.read_parquet
      with open(path, 'rb') as file:
        # So that integers stay integers beside missing ones.
        yield plain(read(file, dtype_backend='numpy_nullable'))
    else:
      opener: Any = gzip.open if name.endswith('.gz') else open
      with opener(path, 'rt', encoding='utf-8-sig', newline='') as lines:
        separator = _separator(lines)
        yield from _framed(
            _records(lines, separator), 'line', problems, separator, size)


def _parts_of_parquet(path, size):
  """Yields parts of a file, with types as those of 'numpy_nullable'."""
  import pandas as pd
  import pyarrow as pa
  from pyarrow import parquet

  types: dict[Any, Any] = {pa.large_string(): pd.StringDtype(), **{
      pa.type_for_alias(name.lower()): pd.api.types.pandas_dtype(name)
      for name in _NULLABLE}}
  first = 0
  # Buffers would keep all that was read.
  with parquet.ParquetFile(path, pre_buffer=False) as file:
    for batch in file.iter_batches(size):
      frame = plain(batch.to_pandas(types_mapper=types.get))
      # Rows of a file without an index of its own count on.
      yield frame.set_axis(frame.index + first) if isinstance(
          frame.index, pd.RangeIndex) else frame
      first += len(frame)


def write(path: str | os.PathLike, frames: Iterable[Any]) -> None:
  """Writes frames with the same columns, one below the other.

  The file appears whole, or not at all. Columns 'Unnamed: I' have no names in
  text. In .parquet cells that are neither numbers nor times are text.

  Args:
    path: of a .csv or a .parquet file.
    frames: read as they are needed.

  Example:
    >>> import pandas as pd
    >>> parts = [pd.DataFrame({'a': [i], 'b': [0.5]}) for i in range(2)]
    >>> write('parts.parquet', parts)
    >>> read_frame('parts.parquet').values.tolist()
    [[0, 0.5], [1, 0.5]]

  Raises:
    InvalidValueError: for another name, or columns of one name in .parquet.
  """
  writer: Any = None
  suffix = os.path.splitext(path)[1].lower()
  errors.check(suffix in ('.csv', '.parquet'), 'path', os.fspath(path),
               'a file .csv or .parquet')
  with drafts.atomic_path(path) as draft, contextlib.ExitStack() as stack:
    for frame in frames:
      if suffix == '.parquet':
        import pyarrow as pa
        from pyarrow import parquet

        errors.check(frame.columns.is_unique, 'columns', ', '.join(frame),
                     'different names, for a .parquet file')
        # Of others the type would follow from the cells of the first frame.
        frame = frame.astype({
            name: 'string' for name, kind in frame.dtypes.items()
            if str(kind) in ('object', 'category')})
        table = pa.Table.from_pandas(
            frame, writer and writer.schema, preserve_index=False)
        writer = writer or stack.enter_context(
            parquet.ParquetWriter(draft, table.schema))
        writer.write_table(table)
      else:
        frame.to_csv(
            draft, mode='a', index=False, lineterminator='\n',
            header=not draft.exists() and [
                '' if column == f'Unnamed: {i}' else column
                for i, column in enumerate(frame)])


def plain(frame: Any) -> Any:
  """Returns a frame with names that are text, and an index called 'row'.

  Or 'line', as that of text.
  """
  noun = 'line' if frame.index.name == 'line' else 'row'
  if frame.index.nlevels > 1:
    frame = frame.set_axis(frame.index.to_flat_index())
  return frame.set_axis(_with_names(map(str, frame.columns)), axis=1
                        ).rename_axis(index=noun)


def _with_names(names: Iterable[str]) -> list[str]:
  return [name or f'Unnamed: {i}' for i, name in enumerate(names)]


def _records(lines: Any, separator: str) -> Iterator[tuple[int, list[str]]]:
  """Yields the lines at which records begin, and their cells, unless blank."""
  lines.seek(0)
  reader, line = csv.reader(lines, delimiter=separator), 1
  for cells in reader:
    if any(map(str.strip, cells)):
      yield line, cells
    line = reader.line_num + 1


def _separator(lines):
  """Returns the mark that splits the first two lines into the most cells."""
  counts = {separator: min((len(cells) for _, cells in itertools.islice(
      _records(lines, separator), 2)), default=0)
            for separator in _SEPARATORS}
  best = max(_SEPARATORS, key=counts.__getitem__)
  return best if counts[best] > 1 else ','


def _names(first):
  """Returns the names in a first line, or None if it has numbers."""
  is_number = {cells_lib.is_number(cell.replace(',', '.'))
               for cell in first if cell}
  errors.check(
      len(is_number) == 1, problem=f'Its first line, {", ".join(first[:10])}'
      f'{", ..." * (len(first) > 10)}, mixes names and numbers. Name all '
      'columns (not by numbers) or none.')
  # pandas names unnamed columns 0, 1, 2.
  is_range = [*filter(None, first)] in (
      [str(i) for i in range(n)] for n in (len(first), len(first) - 1))
  return None if True in is_number and not is_range else _with_names(first)


def _framed(
    records: Iterable[tuple[int, list[str]]], noun: str,
    problems: problems_lib.Problems | None = None, separator: str = ',',
    size: int | None = None) -> Iterator[Any]:
  """Yields frames of records, whose places are called by a noun.

  With commas between cells a frame has `size` rows, if this is given.
  """
  import pandas as pd

  head: Any = next(records := iter(records), None)
  errors.check(head, problem='It is empty.')
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

  is_whole = size is None or separator != ','
  batches = iter(lambda: list(itertools.islice(
      records, _BATCH if is_whole else size)), [])
  # Without records there is a frame without rows.
  frames = map(part, itertools.chain([next(batches, [])], batches))
  for frame in [pd.concat([*frames])] if is_whole else frames:
    if sizes:
      where = cells_lib.describe_rows(
          pd.Index(sizes, name=noun), np.full(len(sizes), True))
      problem = (f'has {next(iter(sizes.values()))} cells, not {len(first)} '
                 f'like the first line, {where}')
      if problems is None:
        raise errors.FormatError(f'It {problem}.')
      problems.add('', problem, 'fix')
    yield (frame if separator == ',' else _with_decimal_points(frame)
           ).set_axis(names, axis=1)


def _with_decimal_points(frame):
  """Replaces decimal commas by points, if a frame has any.

  A cell such as 1,234 shows nothing, as its comma may separate thousands.
  """
  def matches(pattern):
    return frame.apply(lambda text: text.str.strip().str.fullmatch(pattern))

  commas, points = (matches(
      rf'[+-]?[0-9]*{mark}[0-9]+(?:[eE][+-]?[0-9]+)?') for mark in (',', '[.]'))
  if not (commas & ~matches(cells_lib.THOUSANDS)).any(axis=None):
    return frame
  has_point = points.any(axis=1).to_numpy(bool)
  errors.check(
      not has_point.any(), problem='It has decimal commas, but also points '
      f'{cells_lib.describe_rows(frame.index, has_point)}: use one of them, '
      'and remove thousands separators.')
  return frame.mask(commas, frame.replace(',', '.', regex=True))


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
  reading.check_archive(path)
  try:
    with open(path, 'rb') as file, pd.ExcelFile(file, 'openpyxl') as book:
      errors.check(
          sheet is None or sheet in book.sheet_names, problem='It has no sheet '
          f'{sheet}; its sheets are {", ".join(map(str, book.sheet_names))}.')
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
