"""User-provided data sets of tables, whose rows are vectors."""

import dataclasses
import logging
from typing import Any

import numpy as np

from tf_resflow import errors
from tf_resflow.columns import cells as cells_lib
from tf_resflow.columns import column_checks
from tf_resflow.columns import problems as problems_lib
from tf_resflow.columns import rows as rows_lib
from tf_resflow.columns import schema as schema_lib
from tf_resflow.columns import table_files
from tf_resflow.datasets import data_config
from tf_resflow.datasets import dataset_info
from tf_resflow.datasets import user_files
from tf_resflow.specs import spec

_logger = logging.getLogger(__name__)
_TABLE = (
    'a table of numbers (.csv, .tsv, .txt, .parquet, .feather or .xlsx)')
# Largest number of levels of a category that is proposed as a condition.
_MAX_PROPOSED = 10
_BY_COLUMN = 'group:'
# Test groups below which a warning says so.
_FEW_GROUPS = 5
_NUM_TEST = {'none': 0}  # Of rules that say so.
_IN_TEST_FILE = 'in the test file '
_LISTS = ('columns', 'drop', 'column_types', 'condition_on')
_OPTIONS = (*data_config.FRAME_FIELDS, 'condition_on')


@user_files.opener(
    'table', _TABLE, (*data_config.TABLE_FIELDS, 'condition_on'))
def open_table(path: str, **options: Any) -> dataset_info.VectorInfo:
  """Opens a file of a table; see `table_files.read_frame` for the formats.

  Columns of numbers, or of true and false, can be used; in the condition also
  text, a category of at most 100 levels. What is fitted to the training part,
  as means and types, follows by `with_validation`.

  The options are fields of `DataConfig` about tables, and `condition_on`.

  Raises:
    InvalidValueError: if the table is invalid, with all of its problems.
  """
  config = _config(options)
  problems = problems_lib.Problems(config.drop)
  frame, tested = table_files.read_frame(path, config.sheet, problems), None
  if config.test_file is not None:
    problems.where = _IN_TEST_FILE
    with errors.format_errors('test_file', config.test_file, _TABLE):
      # A sheet of that name, if it has sheets.
      has_sheets = config.test_file.lower().endswith('.xlsx')
      tested = rows_lib.Table(table_files.read_frame(
          config.test_file, config.sheet if has_sheets else None, problems))
  return _Data(f'table:{path}', rows_lib.Table(frame), tested, problems, config
               ).info()


def table(
    frame: Any, name: str = 'table', *, test: Any = None, **options: Any,
) -> dataset_info.VectorInfo:
  """Returns the data set of a data frame, for `make_config(dataset=...)`.

  Args:
    frame: a `pandas.DataFrame`. Its index is only used in messages.
    name: name of the data set.
    test: a data frame of the test part, instead of a split.
    **options: `columns`, `drop`, `missing`, `test_rows`, `test_share`,
      `sample_weight`, `condition_on` and `column_types`, see
      `data_config.DataConfig`.

  Raises:
    InvalidValueError: if the table is invalid, with all of its problems.

  Example:
    >>> import pandas as pd
    >>> table(pd.DataFrame(
    ...     {'day': ['Mon'] * 20, 'height': np.arange(160.0, 180.0)}),
    ...     drop=['day']).event_shape
    (1,)
  """
  for option in options:
    errors.check(
        option in _OPTIONS, 'option', option, f'one of {", ".join(_OPTIONS)}')
  errors.check(
      test is None or not {'test_rows', 'test_share'} & {*options}, 'test',
      'a data frame', problem='cannot be used with groups, test_rows and '
      'test_share', advice='It has the rows to test on.')
  config = _config(options)
  with errors.format_errors('frame', name, 'a table of numbers'):
    return _Data(
        name, rows_lib.Table(table_files.plain(frame)),
        None if test is None else rows_lib.Table(table_files.plain(test)),
        problems_lib.Problems(config.drop, 'arguments'), config).info()


def _config(options):
  """Returns the settings of a table; a string is one name."""
  for name in {*_LISTS} & {*options}:
    options[name] = cells_lib.as_names(options[name])
  return data_config.DataConfig(**options)


@dataclasses.dataclass
class _Data:
  """A table, and its settings, as it becomes a data set."""

  name: str
  table: rows_lib.Table
  tested: rows_lib.Table | None
  problems: problems_lib.Problems
  config: data_config.DataConfig

  def info(self) -> dataset_info.VectorInfo:
    """Returns the metadata, or raises with all problems."""
    rule, condition = self.config.test_rows, self.config.condition_on
    # All columns are modelled, until the condition is taken from them.
    schema = self._schema()
    rows = test = self._complete(schema, self.table)
    if self.tested is not None:
      test = self._complete(schema, self.tested, _IN_TEST_FILE)
    errors.check(schema.modelled, problem='No column is left.')
    if len(rows) < user_files.MIN_EXAMPLES or len(test) < 2:
      self.problems.check()  # May be the reason.
    order = _split_rows(rows, rule, self.config.test_share)
    if self.tested is not None:
      order = user_files.held_out(len(rows), num_test=len(test))
    parts = {'train': rows.take(order['train']),
             'test': test.take(order['test'])}
    x = {part: rows.x for part, rows in parts.items()}
    errors.check(
        len(x['test']) > 1 or rule in _NUM_TEST, problem='The test part has '
        f'{len(x["test"])} rows; standard errors need two.')
    self._check(schema, **x)
    for name, text in self.problems.hints.items():
      _logger.warning(
          '%s: column %s %s: %s leaves it out.', self.name, name, text,
          self.problems.text_of(drop=(name,)))
    _warn_of_copies(self.name, **parts)
    # Runs of earlier versions know a table by its names and rows.
    others: Any = () if rule == 'random' and self.tested is None and (
        self.config.test_share == user_files.TEST_SHARE) else (
            rule.replace(_BY_COLUMN, 'column:', 1), *order.values(), x['test'])
    weights = None if rows.weight is None else user_files.relative(
        {part: rows.weight for part, rows in parts.items()})
    labels = [label for column in schema.modelled for label in column.labels]
    info = dataset_info.VectorInfo(
        name=self.name, event_size=len(labels), schema=schema,
        asked_types=self.config.column_types,
        test_rows=rule if self.tested is None else 'given',
        index={part: rows.index for part, rows in parts.items()},
        fingerprint=user_files.fingerprint(
            ','.join(labels), rows.x, *others, *(weights or {}).values()),
        weights=weights, num_train=len(x['train']), num_test=len(x['test']),
        load_fn=lambda part: (x[part], None))
    return info.with_condition(condition) if condition else info

  def _schema(self):
    """Returns the schema, and notes categories and numbers of rows."""
    known, config = list(self.table.frame.columns), self.config
    group = [config.test_rows.removeprefix(_BY_COLUMN)] if (
        config.test_rows.startswith(_BY_COLUMN)) else []
    weight = [config.sample_weight] if config.sample_weight else []
    for option, asked in (
        ('columns', config.columns), ('drop', config.drop),
        ('test_rows', group), ('sample_weight', weight),
        ('condition_on', config.condition_on)):
      with errors.format_errors(
          option, spec.text_of(getattr(config, option)),
          f'columns of {self.name}'):
        cells_lib.check_present(asked, known)
    left_out = {*config.drop, *group, *weight}
    if not config.columns:
      left_out |= self._unnamed()
    used = [name for name in dict.fromkeys(config.columns or known)
            if name not in left_out]
    columns = []
    for position, name in enumerate(used):
      place = known.index(name)
      levels = () if known.count(name) > 1 else self.table.levels(place)
      if name not in config.condition_on:
        self._find_row_numbers(name, place)
        if 1 < len(levels) <= min(_MAX_PROPOSED, len(self.table.frame) // 3):
          self.problems.categories.append(name)
        levels = ()
      columns.append(schema_lib.Column(
          name=name, levels=levels, position=position))
    return schema_lib.Schema(columns=(*columns, *(
        schema_lib.Column(name=name, role=role) for role, names in (
            (schema_lib.GROUP, group), (schema_lib.WEIGHT, weight))
        for name in names)))

  def _unnamed(self):
    """Returns an index without a name, and what has no name nor cells."""
    found = set()
    for place, name in enumerate(self.table.frame.columns):
      if name != f'Unnamed: {place}':
        continue
      cells, is_empty, _ = self.table.numbers(place)
      is_index = place == 0 and len(cells) > 1 and np.all(
          np.diff(cells) > 0) and np.all(cells == np.round(cells))
      if is_index:
        _logger.info(
            '%s: the first column has no name and increasing integers; this '
            'index is left out.', self.name)
      if is_index or is_empty.all():
        found.add(name)
    return found

  def _find_row_numbers(self, name, place):
    """Adds a hint if a column numbers the rows, in any order."""
    numbers = np.sort(self.table.numbers(place)[0])
    steps = numbers - np.arange(len(numbers))
    if len(steps) > 1 and (np.all(steps == 0) or np.all(steps == 1)):
      self.problems.hints[name] = (
          f'numbers the rows, {numbers[0]:.0f} to {numbers[-1]:.0f}')

  def _complete(self, schema, table, where=''):
    """Returns the rows without an empty cell, and adds problems."""
    cells_lib.check_present(
        {*schema.by_name(schema_lib.MODELLED, schema_lib.WEIGHT)} -
        {*self.problems.dropped}, table.frame.columns, 'The test file')
    self.problems.where = where
    rows = rows_lib.parse(
        schema, table, self.problems, self.config.missing,
        [schema_lib.MODELLED, schema_lib.WEIGHT,
         *[schema_lib.GROUP] * (not where)])
    self.problems.where = ''
    if self.config.missing == 'drop' and not rows.is_complete.all():
      _logger.info(
          '%s: %s%d of %d rows have an empty cell and are left out.', self.name,
          where, np.sum(~rows.is_complete), len(rows))
    return rows.complete()

  def _check(self, schema, train, test):
    """Raises with all problems, also of columns that cannot be learned."""
    coordinates = [(column.name, level) for column in schema.modelled
                   for level in column.levels or ('',)]
    for (name, level), *values in zip(
        coordinates, train.T, test.T, strict=True):
      if name in self.problems.dropped:
        continue
      if text := column_checks.column_problem(
          values[0], values[1], name in self.config.condition_on):
        self.problems.add(
            name, f'is {level} in all or no training rows' if level else text)
    self.problems.check()


def _split_rows(rows, test_rows, share):
  """Returns the indices of the 'train' and 'test' rows, as `held_out`."""
  order = user_files.held_out(
      len(rows), 'rows', _NUM_TEST.get(test_rows), share)
  if test_rows == 'last':
    # In time: then a validation part, which is the end, comes before the test.
    return dict(zip(order, np.split(
        np.arange(len(rows)), [len(order['train'])]), strict=True))
  if rows.group is None:
    return order
  # Rows of a group stay side by side: a validation part has whole groups, too,
  # but for one.
  values, groups = np.unique(rows.group, return_inverse=True)
  errors.check(
      len(values) > 1, problem=f'All rows have one value in {test_rows}; at '
      'least two are required.')
  rank = np.argsort(user_files.split_order(len(values)))[groups]
  by_rank = np.argsort(rank, kind='stable')
  num_test = np.clip(round(share * len(values)), 1, len(values) - 1)
  if num_test < _FEW_GROUPS:
    _logger.warning(
        'The test rows are of %d of %d values in %s: standard errors do not '
        'say how others differ.', num_test, len(values), test_rows)
  is_test = rank[by_rank] < num_test
  return {'train': by_rank[~is_test], 'test': by_rank[is_test]}


def _warn_of_copies(name, train, test):
  """Warns of test rows that are training rows, too."""
  import pandas as pd

  # Zeros with a sign are zeros.
  known, new = (pd.util.hash_pandas_object(
      pd.DataFrame(part.x + 0.0), index=False) for part in (train, test))
  is_copy = new.isin(known).to_numpy()
  if is_copy.any():
    _logger.warning(
        '%s: %d of %d test rows are also training rows, %s. Results on them do '
        'not tell what is learned from what is remembered.', name,
        is_copy.sum(), len(test), cells_lib.describe_rows(test.index, is_copy))
