"""User-provided data sets of tables, whose rows are vectors."""

from collections.abc import Sequence
import logging
import os
from typing import Any, NamedTuple

import numpy as np

from tf_resflow import errors
from tf_resflow.datasets import column_fits
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files
from tf_resflow.datasets import table_files
from tf_resflow.datasets import table_numbers
from tf_resflow.datasets import table_problems

_logger = logging.getLogger(__name__)
_Remedy = table_problems.Remedy
_TABLE = (
  'a table of numbers (.csv, .tsv, .txt, .parquet, .feather or .xlsx)')
_BY_COLUMN = 'column:'
# The name of the index in files of pandas.
_INDEX = 'Unnamed: 0'
_UNNAMED = 'Unnamed: '
# With more empty cells, a column is left out rather than the rows.
_MAX_SHARE_EMPTY = 0.5


@own_files.opener('table', _TABLE, files=['test_file'])
def open_table(
  path: str, *, columns: Sequence[str] = (), drop: Sequence[str] = (),
  missing: str = 'error', split: str = 'random', test_file: str | None = None,
  sheet: str | None = None, condition: Sequence[str] = (),
  column_types: Sequence[str] = (),
) -> dataset_info.VectorInfo:
  """Opens a file of a table; see `table_files.read_frame` for the formats.

  Columns of numbers, or of true and false, can be used. What is fitted to the
  training part, as their mean, follows by `with_validation`.

  Args:
    path: Path of the file.
    columns: Names of the columns to use, in this order; by default all but the
      index that pandas writes.
    drop: Names of columns not to use.
    missing: What to do with rows with an empty cell: 'error' or 'drop'.
    split: Rows of the test part: 'random', a fixed fifth; 'last', the last
      fifth; or 'column:NAME', all rows of a fixed fifth of the values in a
      column, which is not used otherwise.
    test_file: Path of a file with the test part, instead of a split.
    sheet: Name of a sheet of .xlsx files, by default the first one.
    condition: Names of columns that are the condition of `p(x|c)`.
    column_types: `NAME:TYPE`, specs of the `ColumnType` of columns; by default
      they are detected, see `column_fits.detected`.

  Raises:
    InvalidValueError: If the table is invalid, with all of its problems.

  Example:
    >>> with open('heights.csv', 'w') as file:
    ...   _ = file.write('height,weight\\n' + ''.join(
    ...       f'{160 + i % 7},{60 + i % 5}\\n' for i in range(20)))
    >>> open_table('heights.csv').columns
    ('height', 'weight')
  """
  options: dict[str, Any] = {
    'columns': columns, 'drop': drop, 'missing': missing, 'split': split,
    'column_types': column_types}
  frame = table_files.read(path, sheet)
  tested = None
  if test_file is not None:
    with errors.refusing('test_file', test_file, _TABLE):
      # A sheet of that name, if it has sheets.
      tested = table_files.read(
        test_file, sheet if test_file.lower().endswith('.xlsx') else None)
  return _info(f'table:{path}', frame, tested, condition, **options)


def table(
  frame: Any, name: str = 'table', *, test: Any = None,
  condition: Sequence[str] = (), **options: Any) -> dataset_info.VectorInfo:
  """Returns the data set of a data frame.

  `registries.DATASETS.register(NAME, table(frame))` makes `--dataset=NAME` of
  it.

  Args:
    frame: A `pandas.DataFrame`. Its index is not used.
    name: Name of the data set.
    test: A data frame of the test part, instead of a split.
    condition: Names of columns that are the condition of `p(x|c)`.
    **options: `columns`, `drop`, `missing`, `split` and `column_types` of
      `open_table`.

  Raises:
    InvalidValueError: If the table is invalid, with all of its problems.

  Example:
    >>> import pandas as pd
    >>> table(pd.DataFrame(
    ...     {'day': ['Mon'] * 20, 'height': np.arange(160.0, 180.0)}),
    ...     drop=['day']).event_shape
    (1,)
  """
  with errors.refusing('frame', name, 'a table of numbers'):
    return _info(
      name, (table_files.plain(frame), ''),
      None if test is None else (table_files.plain(test), ''), condition,
      is_file=False, **options)


def read_columns(
  path: str | os.PathLike, names: Sequence[str]) -> np.ndarray:
  """Returns columns of a file of a table, float64 `[N, D]`.

  Columns are found by their names, in any order; others are ignored.

  Args:
    path: Path of the file.
    names: Names of the D columns.

  Raises:
    FormatError: If the table is invalid, with all of its problems.
  """
  table_ = table_files.read(path)
  lacking = [name for name in names if name not in list(table_[0].columns)]
  errors.check_format(not lacking, f'It has no {", ".join(lacking)}.')
  problems = table_problems.Problems()
  rows = _read_columns(os.fspath(path), table_, names, problems, is_fixed=True)
  problems.check()
  errors.check_format(len(rows.places) > 0, 'It has no rows.')
  return rows.values(names)


class _Rows(NamedTuple):
  """The rows of a table that are used.

  Attributes:
    columns: Float64 `[N]` each, by name.
    places: Index of a frame, `[N]`.
    groups: Which rows stay together, int `[N]`, or None.
  """

  columns: dict[str, np.ndarray]
  places: Any
  groups: np.ndarray | None

  def values(self, names):
    """Returns columns as float64 `[N, D]`."""
    return np.reshape(
      [self.columns[name] for name in names], [len(names), len(self.places)]).T


def _info(
  name, table_, test_table, condition, *, columns=(), drop=(), missing='error',
  split='random', column_types=(), is_file=True):
  """Returns the metadata of a table; tables are those of `table_files.read`."""
  group = split.removeprefix(_BY_COLUMN) if split.startswith(
    _BY_COLUMN) else None
  used = _used_columns(name, table_[0], columns, drop, group)
  problems = table_problems.Problems(drop, is_file)
  tested = rows = _read_columns(name, table_, used, problems, missing, group)
  if test_table is not None:
    used = [column for column in used if column not in problems.dropped]
    lacking = [column for column in used if column not in test_table[0].columns]
    errors.check_format(
      not lacking, f'The test file has no {", ".join(lacking)}.')
    tested = _read_columns(
      name, test_table, used, problems, missing, where='in the test file ')
  names = [column for column in used if column not in problems.dropped]
  errors.check_format(names or problems.dropped, 'No column is left.')
  values = rows.values(names)
  if len(values) < own_files.MIN_EXAMPLES or len(tested.places) < 2:
    problems.check()
  errors.check_format(
    len(values) >= own_files.MIN_EXAMPLES, f'It has {len(values)} rows; at '
    f'least {own_files.MIN_EXAMPLES} are required.')
  order = _split_rows(rows, split) if test_table is None else {
    'train': own_files.split_order(len(values)),
    'test': np.arange(len(tested.places))}
  parts = {'train': values[order['train']],
           'test': tested.values(names)[order['test']]}
  errors.check_format(
    len(parts['test']) > 1,
    f'The test part has {len(parts["test"])} rows; standard errors need two.')
  for i, column in enumerate(names):
    problem = own_files.column_problem(*(part[:, i] for part in parts.values()))
    if problem:
      problems.add(column, problem)
  problems.check()
  _warn_of_copies(name, **parts, places=tested.places[order['test']])
  # Runs of earlier versions know a table by its names and rows.
  others = () if split == 'random' and test_table is None else (
    split, *order.values(), parts['test'])
  info: Any = dataset_info.VectorInfo(
    name=name, event_size=len(names), columns=tuple(names),
    asked_types=column_fits.asked_types(name, names, column_types),
    fingerprint=own_files.fingerprint(','.join(names), values, *others),
    num_train=len(parts['train']), num_test=len(parts['test']),
    load_fn=lambda part: (parts[part], None),
    description='User-provided table.')
  return info.with_condition(condition) if condition else info


def _used_columns(name, frame, columns, drop, group):
  """Returns the names of the columns to use."""
  known = list(frame.columns)
  for option, asked in (
    ('columns', columns), ('drop', drop),
    ('split', () if group is None else (group,))):
    unknown = [column for column in asked if column not in known]
    errors.check(
      not unknown, option, f'{_BY_COLUMN * (option == "split")}'
      f'{",".join(asked)}', f'columns of {name}',
      f'It has no {", ".join(unknown)}. ' + (
        errors.did_you_mean(unknown[0], known) if unknown else ''))
  return [column for column in dict.fromkeys(columns or known)
          if column not in drop and column != group and (
            columns or not _is_unused(name, frame, column))]


def _is_unused(name, frame, column):
  """Returns whether a column is an index, or nothing at all, without a name."""
  place = list(frame.columns).index(column)
  if column != f'{_UNNAMED}{place}':
    return False
  found = table_numbers.numbers(frame.iloc[:, place])
  steps = np.diff(found.values)
  if column == _INDEX and len(steps) and np.all(steps > 0) and np.all(
    found.values == np.round(found.values)):
    _logger.info(
      '%s: the first column has no name and increasing integers; this index is '
      'left out.', name)
    return True
  return bool(found.is_empty.all())


def _read_columns(
  name, table_, names, problems, missing='error', group=None, where='',
  is_fixed=False):
  """Reads columns, and adds what is wrong with them to `problems`.

  Args:
    name: Name of the table, for messages.
    table_: The table and its wrong lines, see `table_files.read`.
    names: Names of the columns.
    problems: The `Problems`.
    missing: 'drop' to leave rows with empty cells out.
    group: Name of the column whose values are groups of rows, or None.
    where: Which file it is, for messages.
    is_fixed: Whether no column or row can be left out.

  Returns:
    The `_Rows` that remain if the advice for the problems is taken: without
    columns that cannot be used, and without rows with empty cells.
  """
  frame, wrong_lines = table_
  if wrong_lines:
    problems.add('', f'{where}has {wrong_lines}', _Remedy.NONE)
  columns, empty, groups = {}, {}, None
  if group is not None:
    groups, empty[group] = _groups(frame, group)
  for column in names:
    places = np.flatnonzero(frame.columns == column)
    found = table_numbers.numbers(frame.iloc[:, places[0]])
    if len(places) > 1:
      problem = f'is the name of {len(places)} columns; rename them'
    elif column == f'{_UNNAMED}{places[0]}':
      problem = f'column {places[0] + 1} has no name'
    elif missing == 'error' and (
      found.is_empty.sum() > _MAX_SHARE_EMPTY * len(frame)):
      problem = _empty(frame, found.is_empty)
    else:
      problem = found.problem
    if problem:
      problems.add(column, where + problem,
                   _Remedy.NONE if is_fixed else _Remedy.DROP)
    else:
      columns[column], empty[column] = found.values, found.is_empty
  is_complete = np.ones(len(frame), bool)
  for column, is_empty in empty.items():
    if missing == 'error' and is_empty.any():
      problems.add(column, where + _empty(frame, is_empty),
                   _Remedy.NONE if is_fixed else _Remedy.MISSING)
    is_complete &= ~is_empty
  if missing == 'drop' and not is_complete.all():
    _logger.info(
      '%s: %s%d of %d rows have an empty cell and are left out.', name, where,
      np.sum(~is_complete), len(frame))
  return _Rows(
    {column: values[is_complete] for column, values in columns.items()},
    frame.index[is_complete],
    None if groups is None else groups[is_complete])


def _empty(frame, is_empty):
  return f'is empty {table_files.places(frame.index, is_empty)}'


def _groups(frame, name):
  """Returns the groups of rows by a column, int `[N]`, and its empty cells."""
  import pandas as pd

  found = table_numbers.numbers(frame[name])
  keys = frame[name].astype(str).str.strip() if found.problem else (
    found.values)
  return pd.factorize(keys, sort=True)[0], found.is_empty


def _split_rows(rows, split):
  """Returns the indices of the 'train' and 'test' rows, as `held_out`."""
  num_rows = len(rows.places)
  order = own_files.held_out(num_rows, 'rows')
  if split == 'last':
    # In time: then a validation part, which is the end, comes before the test.
    return dict(zip(order, np.split(
      np.arange(num_rows), [len(order['train'])]), strict=True))
  if rows.groups is None:
    return order
  # Rows of a group stay side by side: a validation part has whole groups, too,
  # but for one.
  values, groups = np.unique(rows.groups, return_inverse=True)
  errors.check_format(
    len(values) > 1, f'All rows have one value in {split}; at least two are '
    'required.')
  num_test = max(own_files.num_held_out(len(values)), 1)
  rank = np.argsort(own_files.split_order(len(values)))[groups]
  by_rank = np.argsort(rank, kind='stable')
  is_test = rank[by_rank] < num_test
  return {'train': by_rank[~is_test], 'test': by_rank[is_test]}


def _warn_of_copies(name, train, test, places):
  """Warns of test rows that are training rows, too."""
  import pandas as pd

  # Zeros with a sign are zeros.
  known = set(map(bytes, np.ascontiguousarray(train + 0.0)))
  is_copy = np.array([
    bytes(row) in known for row in np.ascontiguousarray(test + 0.0)], bool)
  if is_copy.any():
    _logger.warning(
      '%s: %d of %d test rows are also training rows, %s. Results on them do '
      'not tell what is learned from what is remembered.', name, is_copy.sum(),
      len(test), table_files.places(pd.Index(places), is_copy))
