"""Data sets of tables: columns, parts, problems and warnings."""

import dataclasses
import logging

import numpy as np
import pandas as pd
import pytest

from tests import testing
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.columns import cells as cells_lib
from tf_resflow.columns import rows as rows_lib
from tf_resflow.datasets import tables
from tf_resflow.datasets import user_files


def _frame(num_rows=30, seed=0):
  rng = np.random.default_rng(seed)
  return pd.DataFrame({
    'a': rng.normal(5.0, 1.0, num_rows), 'b b': rng.normal(size=num_rows),
    'c': rng.normal(0.25, 0.01, num_rows)})


def _write(path, frame, **options):
  frame.to_csv(path, **{'index': False, **options})
  return str(path)


def _parts(info):
  return {part: np.float32(info.load_fn(part)[0]) for part in ('train', 'test')}


def test_parts_and_standardisation(tmp_path):
  rows = _frame().to_numpy()
  name = f'table:{_write(tmp_path / "own.csv", _frame())}'
  info = datasets.info(name)
  assert info.schema.names == ('a', 'b b', 'c') and info.event_size == 3
  parts = {
    part: datasets.open_split(name, part, num_validation=4).arrays['x'].numpy()
    for part in ('train', 'validation', 'test')}
  assert [len(part) for part in parts.values()] == [20, 4, 6]
  order = user_files.split_order(30)
  np.testing.assert_array_equal(parts['test'], rows[order[:6]].astype('f4'))
  np.testing.assert_array_equal(
    np.concatenate([parts['train'], parts['validation']]),
    rows[order[6:]].astype(np.float32))
  # Neither test nor validation rows are in them.
  mean, std = info.with_validation(4).schema.moments('modelled')
  np.testing.assert_allclose(
    mean, rows[order[6:-4]].mean(axis=0), rtol=1e-6)
  np.testing.assert_allclose(
    std, rows[order[6:-4]].std(axis=0), rtol=1e-5)
  # Runs of earlier versions know tables by it.
  assert info.fingerprint == user_files.fingerprint('a,b b,c', rows)


def test_an_index_and_columns_without_anything_are_left_out(tmp_path, caplog):
  caplog.set_level(logging.INFO)
  for frame, options in (
    (_frame(), {'index': True}), (_frame().reset_index(names='Unnamed: 0'), {}),
    (_frame().set_axis(np.arange(9, 39)), {'index': True}),
    (_frame().assign(**{'': np.nan}), {})):
    caplog.clear()
    info = tables.open_table(_write(tmp_path / 'own.csv', frame, **options))
    assert info.schema.names == ('a', 'b b', 'c')
    assert ('this index' in caplog.text) == ('' not in frame)
  frame = _frame().set_axis(np.arange(30)[::-1])
  testing.check_refusals(tables.open_table, [
    (_write(tmp_path / 'own.csv', frame, index=True),
     '...\n  Unnamed: 0: column 1 has no name; numbers the rows, 0 to 29\n'
     "Add '--drop=Unnamed: 0' to")])


def test_a_column_is_parsed_once(monkeypatch):
  parsed, numbers = [], cells_lib.numbers
  monkeypatch.setattr(cells_lib, 'numbers', lambda cells: (
    parsed.append(cells.name), numbers(cells))[1])
  frame = _frame().astype(str).assign(city=['Rome', 'Oslo'] * 15, other='x')
  datasets.table(frame, drop='other', condition_on='city', test_rows='group:c')
  assert sorted(parsed) == ['a', 'b b', 'c', 'city']


def test_a_string_is_one_name(tmp_path):
  frame = _frame().assign(city='Rome')
  path = _write(tmp_path / 'own.csv', frame)
  assert tables.open_table(path, drop='city').schema.names == ('a', 'b b', 'c')
  assert datasets.table(frame, columns='b b').schema.names == ('b b',)
  info = datasets.table(
    frame, drop='city', condition_on='a', column_types='c:log')
  assert (
    info.schema.names, info.schema.condition_names, info.asked_types) == (
    ('b b', 'c'), ('a',), ('c:log',))
  info = datasets.table(frame, drop='city').with_condition('a')
  assert info.schema.condition_names == ('a',)
  testing.check_refusals(lambda drop: datasets.table(frame, drop=drop), [
    ('town', 'drop=town: expected columns'), ('a', '...\n  city: holds text')])


def test_rows_near_a_bound_are_named_before_training(tmp_path):
  """By their lines; of test rows see the user's tables."""
  p = 1.0 / (1.0 + np.exp(-np.random.default_rng(0).normal(size=300)))
  row = user_files.held_out(300)['train'][-1]
  p[row] = 1 - 1e-12
  path = _write(tmp_path / 'own.csv', pd.DataFrame({'p': p}))
  testing.check_refusals(
    tables.open_table(path, column_types='p:logit').with_validation, [(
      20, 'column_types=p:logit: ...1 of 240 are not: p is not strictly between'
      f' 0 and 1 in line {row + 2} (0.999999999999). Use --column_types=p:real,'
      ' or --drop=p.')])


def test_columns_are_chosen(tmp_path):
  path = _write(tmp_path / 'own.csv', _frame().assign(city='Rome'))
  info = tables.open_table(path, drop=['city', 'a'])
  assert info.schema.names == ('b b', 'c')
  info = tables.open_table(path, columns=['c', 'city', 'a'], drop=['city'])
  assert info.schema.names == ('c', 'a')
  np.testing.assert_array_equal(
    info.load_fn('test')[0],
    _frame()[['c', 'a']].to_numpy()[user_files.split_order(30)[:6]])
  testing.check_refusals(lambda options: tables.open_table(path, **options), [
    ({'drop': ['citi']}, 'drop=citi: ...It has no citi. Did you mean city?'),
    ({'columns': ['d']}, f'columns=d: expected columns of table:{path}. It'),
    ({'test_rows': 'group:d'}, 'test_rows=group:d: expected columns of'),
    ({'drop': ['a', 'b b', 'c', 'city']}, '...No column is left.')])


def test_rows_with_empty_cells_are_left_out(tmp_path, caplog):
  caplog.set_level(logging.INFO)
  frame = _frame()
  frame.loc[[3, 7], 'a'], frame.loc[8, 'c'] = np.nan, np.nan
  path = _write(tmp_path / 'own.csv', frame)
  info = tables.open_table(path, columns=['a', 'b b'], missing='drop')
  assert (info.num_train, info.num_test) == (22, 6)
  assert '2 of 30 rows have an empty cell and are left out' in caplog.text
  testing.check_refusals(lambda path: tables.open_table(path), [
    (path, '...\n  a: is empty in lines 5, 9\n  c: is empty in line 10\nAdd '
     '--missing=drop to leave these out.')])
  # Rather a column than most of the rows.
  frame.loc[:20, 'c'] = np.nan
  testing.check_refusals(lambda path: tables.open_table(path), [
    (_write(path, frame), '...\nAdd --drop=c --missing=drop to leave')])


def test_parts_in_time():
  info = tables.table(_frame(), test_rows='last')
  rows = _frame().to_numpy(np.float32)
  parts = _parts(info)
  np.testing.assert_array_equal(parts['train'], rows[:24])
  np.testing.assert_array_equal(parts['test'], rows[24:])
  assert info.fingerprint != tables.table(_frame()).fingerprint


@pytest.mark.parametrize('values', [
  np.arange(60) % 7, np.array(['x', 'y', 'z', 'w'])[np.arange(60) % 4]])
def test_parts_by_groups(values):
  frame = _frame(60).assign(group=values)
  # Not by the order in the file.
  for rows in (frame, frame[::-1]):
    info = tables.table(rows, test_rows='group:group')
    assert info.schema.names == ('a', 'b b', 'c')
    groups = dict(zip(frame['a'].astype('f4'), values, strict=True))
    parts = {part: [groups[a] for a in x[:, 0]]
             for part, x in _parts(info).items()}
    assert len(parts['train']) + len(parts['test']) == 60
    # Sorted values in the fixed order: a validation part has whole groups, too.
    unique = np.unique(values)
    order = list(unique[user_files.split_order(len(unique))])
    assert list(dict.fromkeys(parts['test'])) == order[:1]
    assert list(dict.fromkeys(parts['train'])) == order[1:]


def test_a_test_file(tmp_path):
  path = _write(tmp_path / 'own.csv', _frame())
  other = tmp_path / 'test.csv'
  test = _frame(5, seed=1)
  _write(other, test[['c', 'b b', 'a']].assign(more='x'))
  config = configuration.make_config(
    dataset=f'table:{path}', test_file=str(other), num_blocks=1,
    num_validation=0)
  found = config.open_split('test').arrays['x']
  np.testing.assert_array_equal(found, test.to_numpy(np.float32))
  assert config.open_split('train').num_examples == 30
  _write(other, test.assign(a=0.5))
  with pytest.raises(errors.InvalidValueError, match='dataset=.*has chang'):
    dataclasses.replace(config, info=None).open_data()
  testing.check_refusals(
    lambda frame: tables.open_table(path, test_file=_write(other, frame)), [
      (test[['a', 'c']], f'dataset=table:{path}: ...The test file has no b b.'),
      (test.assign(a='x'), f'dataset=table:{path}: expected a table of numbers'
       "...\n  a: in the test file holds text such as 'x' in ...\nAdd --drop"),
      (test[:1], '...The test part has 1 rows; standard errors need two.')])
  other.unlink()
  assert testing.splits.refusal(
    tables.open_table, path, test_file=str(other)).startswith(
      f'test_file={other}: expected a table')


def test_all_problems_at_once(tmp_path):
  # A text that all rows have says nothing as a condition.
  frame = _frame(40).assign(
    city=['Rome', 'Oslo'] * 20, land='Italy', const=3.0,
    big=2**60 + np.arange(40), e=1e30 * _frame(40)['a'])
  frame.loc[[5, 7], 'a'] = np.nan
  path = _write(tmp_path / 'own.csv', frame)
  with open(path, 'a') as file:
    file.write('1,2\n')
  message = testing.splits.refusal(tables.open_table, path)
  assert message.startswith(
    f'dataset=table:{path}: expected a table of numbers (.csv, .tsv, .txt, '
    '.parquet, .feather or .xlsx). It has problems:\n'
    '  has 2 cells, not 8 like the first line, in line 42\n'
    '  a: is empty in lines 7, 9\n'
    "  city: holds text such as 'Rome', 'Oslo' in lines 2, 3, 4 (40 rows)\n"
    "  land: holds text such as 'Italy' in lines 2, 3, 4 (40 rows)\n"
    '  big: holds integers beyond 2^53, which float64 rounds, in lines 2, 3, 4 '
    '(40 rows)\n'
    '  const: has the value 3 in all training rows: it has no density\n'
    '  e: reaches ')
  assert message.endswith(
    'Add --drop=city,land,big,const,e --missing=drop to leave these out. Or '
    'add --drop=land,big,const,e --missing=drop --condition_on=city to model '
    'the others given city. Fix the file.')


def test_row_numbers_are_named(tmp_path, caplog):
  """In any order, under any name; in the advice, too, but not for conditions.
  """
  order = np.random.default_rng(0).permutation(30)
  frame = _frame().assign(rownames=np.arange(1, 31), id=order, n=order + 2)
  tables.table(frame, condition_on=['id'])
  assert [record.getMessage() for record in caplog.records] == [
    "table: column rownames numbers the rows, 1 to 30: drop=('rownames',) "
    'leaves it out.']
  frame.loc[3, 'a'] = np.nan
  testing.check_refusals(tables.open_table, [
    (_write(tmp_path / 'own.csv', frame), '...\n  a: is empty in line 5\n  '
     'rownames: numbers the rows, 1 to 30\n  id: numbers the rows, 0 to 29\n'
     'Add --drop=rownames,id --missing=drop to leave these out.')])


def test_other_problems():
  frame = _frame()
  testing.check_refusals(
    lambda value: tables.table(value[0], **value[1]), [
      ((frame.rename(columns={'c': 'a'}), {}), '...\n  a: is the name of 2'),
      ((frame[:9], {}), '...It has 9 rows; at least 10 are required.'),
      ((frame.assign(c=1), {'test_rows': 'group:c'}), '...All rows have one'),
      ((frame, {'columns': ['A', 'c', 'd']}), '...It has no A, d.'),
      ((frame, {'condition_on': ['bb']}), '...Did you mean b b?'),
      ((frame, {'mising': 'drop'}), 'option=mising: expected one of columns,'),
      ((frame, {'missing': 'mend'}), 'missing=mend: expected one of error,')])


def test_a_data_frame(tmp_path):
  info = datasets.table(_frame(), test=_frame(8, seed=1))
  assert info.name == 'table' and info.open('test').num_examples == 8
  assert info.fingerprint == tables.open_table(
    _write(tmp_path / 'own.csv', _frame()), test_file=_write(
      tmp_path / 'test.csv', _frame(8, seed=1))).fingerprint
  testing.check_refusals(datasets.table, [
    (_frame().assign(**{'d,e': 'x'}), 'frame=table: expected a table of numbers'
     ". It has problems:\n  d,e: ...Add drop=('d,e',) to leave these out.")])


def test_warnings_are_about_what_is_modelled(tmp_path, caplog):
  frame = _frame(200).assign(
    level=0.5 * (np.arange(200) % 5), count=np.arange(200) % 9)
  frame['sum'] = frame['a'] + frame['b b']
  path = _write(tmp_path / 'own.csv', frame)
  options = {'dataset': f'table:{path}', 'num_blocks': 1}
  caplog.set_level(logging.WARNING)
  configuration.make_config(condition_on=('level', 'sum'), **options)
  assert not caplog.records
  configuration.make_config(condition_on=('a',), **options)
  (text,) = [record.getMessage() for record in caplog.records]
  assert 'Column level has only 5 distinct values' in text
  caplog.clear()
  configuration.make_config(**options)
  assert 'Column level' in caplog.text
  assert 'Column count' not in caplog.text  # It has probabilities.


def test_rows_in_both_parts_are_counted(tmp_path, caplog):
  frame = _frame()
  order = user_files.split_order(30)
  for test, train in ((order[0], order[10]), (order[2], order[20])):
    frame.loc[test] = frame.loc[train]
  tables.table(frame)
  (text,) = [record.getMessage() for record in caplog.records]
  assert text.startswith('table: 2 of 6 test rows are also training rows, in '
                         f'rows {order[0]}, {order[2]}.')


def test_text_is_a_category_of_a_condition(tmp_path):
  frame = _frame(60).assign(city=['Oslo', 'Rome', ' Rome '] * 20)
  path = _write(tmp_path / 'own.csv', frame)
  info = tables.open_table(path, condition_on=['city', 'a'])
  names = ('city=Oslo', 'city=Rome', 'a')
  assert info.schema.names == ('b b', 'c')
  assert [label for column in info.schema.conditions
          for label in column.labels] == [*names]
  x, _, condition = info.load_fn('test')
  order = user_files.split_order(60)[:12]
  np.testing.assert_array_equal(condition[:, 0], order % 3 == 0)
  np.testing.assert_array_equal(condition[:, 1], order % 3 != 0)
  np.testing.assert_array_equal(condition[:, 2], frame['a'].to_numpy()[order])
  np.testing.assert_array_equal(
    rows_lib.read(info.schema, path).condition[:, 1], np.arange(60) % 3 != 0)
  other = _write(tmp_path / 'other.csv', frame[:5].assign(city='Bonn'))
  many = _write(tmp_path / 'many.csv', _frame(150).assign(
    city=[f'c{i}' for i in range(150)]))
  testing.check_refusals(lambda given: tables.open_table(
    given[0], condition_on=['city'], **given[1]), [
      ((path, {'test_file': other}), '...city: in the test file holds Bonn, not'
       ' one of Oslo, Rome, in lines 2, 3, 4 (5 rows)'),
      ((many, {}), '...city: holds 150 levels; a condition has at most 100')])
  testing.check_refusals(tables.open_table, [
    (path, "...city: holds text such as 'Oslo', 'Rome' in lines 2, 3, 4 (60 "
     'rows)\nAdd --drop=city to leave these out. Or add --condition_on=city to '
     'model the others given city.')])
