"""User-provided data sets of tables, whose rows are vectors."""

from collections.abc import Sequence
import logging
import os
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import column_checks
from tf_resflow.columns import column_fits
from tf_resflow.columns import frames
from tf_resflow.columns import table_files
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import own_files

_logger = logging.getLogger(__name__)
_TABLE = (
  'a table of numbers (.csv, .tsv, .txt, .parquet, .feather or .xlsx)')
# Of a category.
_MAX_LEVELS = 100
# Of one that is proposed as a condition.
_MAX_PROPOSED = 10
# Columns that a message names.
_MAX_NAMED = 6
_BY_COLUMN = 'column:'
# With more empty cells, a column is left out rather than the rows.
_MAX_SHARE_EMPTY = 0.5


@own_files.opener('table', _TABLE)
def open_table(
  path: str, *, columns: Sequence[str] = (), drop: Sequence[str] = (),
  missing: str = 'error', split: str = 'random', test_file: str | None = None,
  sheet: str | None = None, condition: Sequence[str] = (),
  column_types: Sequence[str] = (),
) -> dataset_info.VectorInfo:
  """Opens a file of a table; see `table_files.read_frame` for the formats.

  Columns of numbers, or of true and false, can be used; in the condition also
  text, a category of at most 100 levels. What is fitted to
  the training part, as means and types, follows by `with_validation`.

  Args:
    path: Path of the file. The options are those of `data_config.DataConfig`.

  Raises:
    InvalidValueError: If the table is invalid, with all of its problems.

  Example:
    >>> with open('heights.csv', 'w') as file:
    ...   _ = file.write('height,weight\\n' + ''.join(
    ...       f'{160 + i % 7},{60 + i % 5}\\n' for i in range(20)))
    >>> open_table('heights.csv').columns
    ('height', 'weight')
  """
  problems = table_files.Problems(drop)
  frame, tested = table_files.read_frame(path, sheet, problems), None
  if test_file is not None:
    problems.where = 'in the test file '
    with errors.refusing('test_file', test_file, _TABLE):
      # A sheet of that name, if it has sheets.
      tested = table_files.read_frame(
        test_file, sheet if test_file.lower().endswith('.xlsx') else None,
        problems)
  return _info(
    f'table:{path}', frame, tested, problems, condition, columns=columns,
    drop=drop, missing=missing, split=split, column_types=column_types)


def table(
  frame: Any, name: str = 'table', *, test: Any = None,
  condition: Sequence[str] = (), **options: Any) -> dataset_info.VectorInfo:
  """Returns the data set of a data frame, for `make_config(dataset=...)`.

  Args:
    frame: A `pandas.DataFrame`. Its index is not used.
    name: Name of the data set.
    test: A data frame of the test part, instead of a split.
    condition: As the other options, see `data_config.DataConfig`.
    **options: `columns`, `drop`, `missing`, `split` and `column_types`.

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
      name, table_files.plain(frame), test if test is None else
      table_files.plain(test), table_files.Problems(
        options.get('drop', ()), 'arguments'), condition, **options)


def read_columns(
  path: str | os.PathLike, names: Sequence[str], name: str = 'inputs',
  missing: str = 'error') -> Any:
  """Returns columns of a file of a table, a frame of float64 `[N, D]`.

  Columns are found by their names, in any order; others are ignored.

  Args:
    path: Path of the file.
    names: Names of the D columns.
    name: Name of the argument or flag that names the file, for messages.
    missing: 'error', or 'nan' for NaN in all of a row with an empty cell.

  Raises:
    InvalidValueError: If the table is invalid, with all of its problems.
  """
  sources = [*dict.fromkeys(name.partition('=')[0] for name in names)]
  more = f', ... ({len(sources)})' * (len(sources) > _MAX_NAMED)
  with errors.refusing(
    name, path, 'a table with the columns '
    f'{", ".join(sources[:_MAX_NAMED])}{more}'):
    problems = table_files.Problems(options='')
    frame = table_files.read_frame(path, problems=problems)
    absent = frames.lacking(names, frame.columns)
    errors.check_format(not absent, ' '.join(filter(None, [
      f'It has no {absent}.', *(
        errors.did_you_mean(column, list(frame.columns))
        for column in absent.split(', '))])))
    levels = frames.categories(names, frame.columns)
    columns = [*(name for name in names if name in frame.columns), *levels]
    rows = _read_columns(
      os.fspath(path), frame, columns, levels, problems, missing)
    problems.check()
    errors.check_format(len(rows), 'It has no rows.')
    errors.check_format(
      rows.notna().any(axis=None), 'All rows have an empty cell.')
    return rows[list(names)]


def _info(
  name, frame, tested, problems, condition, *, columns=(), drop=(),
  missing='error', split='random', column_types=()):
  """Returns the metadata of a table; see `open_table`."""
  columns, drop, condition = map(frames.as_names, (columns, drop, condition))
  group = [split.removeprefix(_BY_COLUMN)] * split.startswith(_BY_COLUMN)
  used = _used_columns(name, frame, columns, drop, group, condition)
  problems.where = ''
  levels: dict[str, list[str]] = {}
  test = rows = _read_columns(
    name, frame, used + group, levels, problems, missing, group,
    {*condition} - {*group})
  if tested is not None:
    used = [column for column in used if column not in problems.dropped]
    lacking = [column for column in used if column not in tested.columns]
    errors.check_format(
      not lacking, f'The test file has no {", ".join(lacking)}.')
    problems.where = 'in the test file '
    test = _read_columns(name, tested, used, levels, problems, missing)
    problems.where = ''
  used = [column for column in used if column not in problems.dropped]
  errors.check_format(used or problems.dropped, 'No column is left.')
  if len(rows) < own_files.MIN_EXAMPLES or len(test) < 2:
    problems.check()  # May be the reason.
  used, condition = ([
    name for column in names for name in (
      [f'{column}={level}' for level in levels[column]]
      if column in levels else [column])] for names in (used, condition))
  order = _split_rows(rows, split, group)
  if tested is not None:
    order = {'train': own_files.split_order(len(rows)),
             'test': np.arange(len(test))}
  values = rows[used].to_numpy()
  parts = {'train': values[order['train']],
           'test': test[used].to_numpy()[order['test']]}
  errors.check_format(
    len(parts['test']) > 1,
    f'The test part has {len(parts["test"])} rows; standard errors need two.')
  for i, column in enumerate(used):
    if column not in frame.columns:  # A level of a category.
      category, _, level = column.partition('=')
      if np.ptp(parts['train'][:, i]) == 0:
        problems.add(category, f'is {level} in all or no training rows')
    elif problem := column_checks.column_problem(
      parts['train'][:, i], parts['test'][:, i]):
      problems.add(column, problem)
  problems.check()
  _warn_of_copies(name, **parts, index=test.index[order['test']])
  # Runs of earlier versions know a table by its names and rows.
  others = () if split == 'random' and tested is None else (
    split, *order.values(), parts['test'])
  info: Any = dataset_info.VectorInfo(
    name=name, event_size=len(used), columns=tuple(used),
    asked_types=column_fits.asked_types(name, used, column_types),
    fingerprint=own_files.fingerprint(','.join(used), values, *others),
    num_train=len(parts['train']), num_test=len(parts['test']),
    load_fn=lambda part: (parts[part], None),
    index={'train': rows.index[order['train']],
           'test': test.index[order['test']]})
  return info.with_condition(condition) if condition else info


def _used_columns(name, frame, columns, drop, group, condition):
  """Returns the names of the columns to use."""
  known = list(frame.columns)
  for option, asked in {'columns': columns, 'drop': drop, 'split': group,
                        'condition': condition}.items():
    absent = [column for column in asked if column not in known]
    errors.check(
      not absent, option,
      f'{_BY_COLUMN * (option == "split")}{",".join(asked)}',
      f'columns of {name}', ' '.join([f'It has no {", ".join(absent)}.', *(
        errors.did_you_mean(column, known) for column in absent)]))
  if not columns:  # All but an index, and what has no name nor cells.
    unnamed = [f'Unnamed: {i}' == name for i, name in enumerate(known)]
    for place in np.flatnonzero(unnamed):
      cells, is_empty, _ = table_files.numbers(frame.iloc[:, place])
      is_index = place == 0 and len(cells) > 1 and np.all(
        np.diff(cells) > 0) and np.all(cells == np.round(cells))
      if is_index:
        _logger.info(
          '%s: the first column has no name and increasing integers; this index'
          ' is left out.', name)
      if is_index or is_empty.all():
        drop = [*drop, known[place]]
  return [column for column in dict.fromkeys(columns or known)
          if column not in (*drop, *group)]


def _read_columns(
  name, frame, names, levels, problems, missing='error', group=(),
  condition=()):
  """Reads columns as a frame of float64 (int for a group).

  Adds problems, and the levels of text in columns of the condition. The frame
  is as if the advice were taken: without bad columns and rows.
  """
  import pandas as pd

  columns: dict[str, np.ndarray] = {}
  is_complete = np.ones(len(frame), bool)
  for column in names:
    found = np.flatnonzero(frame.columns == column)
    cells = frame.iloc[:, found[0]]
    values, is_empty, problem = table_files.numbers(cells)
    empty = f'is empty {table_files.places(frame.index, is_empty)}'
    texts = []
    if len(found) == 1 and problem.startswith(table_files.HOLDS_TEXT):
      texts = sorted({*cells[~is_empty].astype('str').str.strip()})
      if column in condition:
        levels[column] = texts
    known = levels.get(column)
    if column in group:
      keys = cells.astype('str').str.strip() if problem else values
      values, problem = pd.factorize(keys, sort=True)[0], ''
    elif len(found) > 1:
      problem = f'is the name of {len(found)} columns; rename them'
    elif column == f'Unnamed: {found[0]}':
      problem = f'column {found[0] + 1} has no name'
    elif missing == 'error' and (
      is_empty.sum() > _MAX_SHARE_EMPTY * len(frame)):
      problem = empty
    if known:
      values = frames.one_hot(cells, known)
      is_new = ~is_empty & (values.sum(axis=1) == 0)
      problem = frames.dtype_problem(cells) or (len(known) > _MAX_LEVELS) * (
        f'holds {len(known):,} levels; a condition has at most {_MAX_LEVELS}')
      if is_new.any():
        problem = (
          f'holds {cells[is_new].iloc[0]}, not one of {", ".join(known)}, '
          f'{table_files.places(frame.index, is_new)}')
    if problem:
      problems.add(column, problem)
      if not known and 0 < len(texts) <= min(_MAX_PROPOSED, len(cells) // 3):
        problems.categories.append(column)
      continue
    if missing == 'error' and is_empty.any():
      problems.add(column, empty, 'missing')
    columns |= {column: values} if not known else {
      f'{column}={level}': values[:, i] for i, level in enumerate(known)}
    is_complete &= ~is_empty
  if missing == 'drop' and not is_complete.all():
    _logger.info(
      '%s: %s%d of %d rows have an empty cell and are left out.', name,
      problems.where, np.sum(~is_complete), len(frame))
  rows = pd.DataFrame(columns, frame.index)
  if missing == 'nan':
    rows[~is_complete] = np.nan
    return rows
  return rows[is_complete]


def _split_rows(rows, split, group):
  """Returns the indices of the 'train' and 'test' rows, as `held_out`."""
  order = own_files.held_out(len(rows), 'rows')
  if split == 'last':
    # In time: then a validation part, which is the end, comes before the test.
    return dict(zip(order, np.split(
      np.arange(len(rows)), [len(order['train'])]), strict=True))
  if not group:
    return order
  # Rows of a group stay side by side: a validation part has whole groups, too,
  # but for one.
  values, groups = np.unique(rows[group[0]], return_inverse=True)
  errors.check_format(
    len(values) > 1, f'All rows have one value in {split}; at least two are '
    'required.')
  rank = np.argsort(own_files.split_order(len(values)))[groups]
  by_rank = np.argsort(rank, kind='stable')
  is_test = rank[by_rank] < max(round(own_files.TEST_SHARE * len(values)), 1)
  return {'train': by_rank[~is_test], 'test': by_rank[is_test]}


def _warn_of_copies(name, train, test, index):
  """Warns of test rows that are training rows, too."""
  import pandas as pd

  # Zeros with a sign are zeros.
  known, new = (pd.util.hash_pandas_object(
    pd.DataFrame(part + 0.0), index=False) for part in (train, test))
  is_copy = new.isin(known).to_numpy()
  if is_copy.any():
    _logger.warning(
      '%s: %d of %d test rows are also training rows, %s. Results on them do '
      'not tell what is learned from what is remembered.', name, is_copy.sum(),
      len(test), table_files.places(index, is_copy))
