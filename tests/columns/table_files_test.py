"""Frames of cells, the numbers in them, exactly, and their problems."""

import datetime
import decimal
import os

import numpy as np
import pandas as pd
import pytest

from tf_resflow import errors
from tf_resflow.columns import problems as problems_lib
from tf_resflow.columns import table_files
from tf_resflow.specs import machine


def _read(tmp_path, text, name='own.csv'):
  path = tmp_path / name
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return table_files.read_frame(path)


@pytest.mark.parametrize('text, expected', [
  ('a,b\n1,x y\n', [['1', 'x y']]),
  ('a;b\n1,5;2\n3;-0,25\n', [['1.5', '2'], ['3', '-0.25']]),
  ('a\tb\n1.5\tx|y\n', [['1.5', 'x|y']]),
  ('a|b;c\n1|2\n', [['1', '2']]),
  # The second line says which mark it is.
  ('a;b,c\n1,2\n', [['1', '2']]),
  # A comma may separate thousands, unless another number shows it does not.
  ('a;b\n1,234;5\n', [['1,234', '5']]),
  ('a;b\n1,234;0,5\n', [['1.234', '0.5']]),
  ('\ufeff"a",b\r\n\r\n"x ""y""",NA\r\n', [['x "y"', 'NA']]),
  ('a\n1\n\n2', [['1'], ['2']]), ('a\n1.5\n', [['1.5']])])
def test_text(tmp_path, text, expected):
  assert _read(tmp_path, text).to_numpy().tolist() == expected


def test_names(tmp_path):
  for first, names in (
    ('a,b b, c ', ['a', 'b b', 'c']), ('1,2.5,', ['x0', 'x1', 'x2']),
    (',a,', ['Unnamed: 0', 'a', 'Unnamed: 2']),
    # As pandas names columns without names, and with its index.
    ('0,1,2', ['0', '1', '2']), (',0,1', ['Unnamed: 0', '0', '1']),
    ('a,b,a', ['a', 'b', 'a']), ('inf,nan,b', ['inf', 'nan', 'b'])):
    assert list(_read(tmp_path, f'{first}\n7,8,9\n').columns) == names


def test_an_index_of_several_levels_names_rows():
  frame = pd.DataFrame({'a': [1, 1, 2], 'b': [5, 6, 7], 'c': range(3)})
  found = table_files.plain(frame.set_index(['a', 'b']))
  assert found.index.name == 'row' and found.index[1] == (1, 6)


@pytest.mark.parametrize('text, lines, problem', [
  ('\n\na,b\n1,2\n\n3,\n , \n5,6', [4, 6, 8], ''),
  ('a,b\n1,2,3\n3,4\n5\n6,7\n', [3, 5], '3 cells, not 2 like the first line,'
   ' in lines 2, 4'),
  # Cells in quotes may have several lines.
  ('"a\n""","b\n"\n1,2\n3,"x\n\ny"\n5,6\n"7\n"\n8,9', [4, 5, 8, 11],
   '1 cells, not 2 like the first line, in line 9'),
  # Where the first line has no mark, a comma is one.
  ('a\n1,5\n', [], '2 cells, not 1 like the first line, in line 2')])
def test_lines_are_those_of_the_file(tmp_path, text, lines, problem):
  path, problems = tmp_path / 'own.csv', problems_lib.Problems()
  path.write_text(text)
  frame = table_files.read_frame(path, problems=problems)
  assert frame.index.tolist() == lines and frame.index.name == 'line'
  if problem:
    for check in (problems.check, lambda: table_files.read_frame(path)):
      with pytest.raises(errors.FormatError, match=f'has {problem}'):
        check()
  else:
    problems.check()


def test_formats(tmp_path):
  expected = pd.DataFrame({
    'a': [1e-300, np.nan], 'b': ['x', 'y'],
    # Integers stay integers beside missing ones.
    'n': pd.array([2**52 + 1, None], 'Int64')})
  # Its index stands in the file, and is none of the columns.
  expected.set_axis(['p', 'q']).to_parquet(tmp_path / 'own.parquet')
  expected.to_feather(tmp_path / 'own.feather')
  expected.to_feather(tmp_path / 'old.feather', version=1)
  expected.to_csv(tmp_path / 'own.tsv.gz', sep='\t', index=False)
  with pd.ExcelWriter(tmp_path / 'own.xlsx') as book:
    pd.DataFrame({'other': [1]}).to_excel(book, sheet_name='first')
    expected.to_excel(
      book, sheet_name='second', index=False, startrow=2, startcol=1)
  for name, sheet, index in (
    # Rows are those that a reader of a spreadsheet sees.
    ('own.parquet', None, ['p', 'q']), ('own.feather', None, [0, 1]),
    ('old.feather', None, [0, 1]),
    ('own.tsv.gz', None, [2, 3]), ('own.xlsx', 'second', [4, 5])):
    found = table_files.read_frame(tmp_path / name, sheet)
    assert found.index.tolist() == index
    assert found[['a', 'b', 'n']].to_csv(index=False) == expected.to_csv(
      index=False)
  assert list(table_files.read_frame(tmp_path / 'own.xlsx').columns) == [
    'Unnamed: 0', 'other']
  with pytest.raises(errors.FormatError, match='sheet third; its sheets are f'):
    table_files.read_frame(tmp_path / 'own.xlsx', 'third')


@pytest.mark.parametrize('text, name, expected', [
  ('', 'own.csv', 'It is empty.'), (' \n,\n', 'own.csv', 'It is empty.'),
  (b'a\n\xe9', 'own.csv', 'Save it as UTF-8.'),
  ('a,3\n1,2\n', 'own.csv', 'Its first line, a, 3, mixes names and numbers.'),
  ('a;b\n1.234;2\n1,5;3\n0,5;1.234\n', 'own.csv',
   'It has decimal commas, but also points in lines 2, 4'),
  ('a', 'own.csv.gz', 'It cannot be read: Not a gzipped file'),
  ('a', 'own.parquet', 'It cannot be read'),
  ('a', 'own.xlsx', 'It cannot be read: File is not a zip file.'),
  ('a', 'own.pkl', 'A pickle can run any code'),
  ('a', 'own.xls', 'Save it as .xlsx')])
def test_what_is_no_table(tmp_path, text, name, expected):
  with pytest.raises(errors.FormatError) as error:
    _read(tmp_path, text, name)
  assert expected in str(error.value)


@pytest.mark.reliability(promise='too-large')
def test_other_refusals(tmp_path, monkeypatch):
  monkeypatch.setattr(machine, 'memory_bytes', lambda: 100)
  pd.DataFrame({'a': [1]}).to_excel(tmp_path / 'own.xlsx')
  os.mkfifo(tmp_path / 'pipe.csv')
  for path, sheet, expected in (
    (tmp_path / 'own.xlsx', None, 'It expands to'),
    (tmp_path / 'own.csv.gz', 'first', 'Only .xlsx files have sheets'),
    (tmp_path / 'pipe.csv', None, 'It is a pipe or a device')):
    (tmp_path / 'own.csv.gz').touch()
    with pytest.raises(errors.FormatError, match=expected):
      table_files.read_frame(path, sheet)


def test_names_of_files():
  assert table_files.is_table('A.CSV') and table_files.is_table('a.tsv.gz')
  assert not table_files.is_table('a.npz') and not table_files.is_table(None)


def test_parts_of_a_parquet_file_have_one_schema(tmp_path):
  """What the first frame has nothing of, or shorter numbers of, too."""
  days = [datetime.date(2020, 1, 2), decimal.Decimal('1.25')]
  frames = [pd.DataFrame({'a': [1.0], 'b': [decimal.Decimal('1.2')], 'c': None}
                         ), pd.DataFrame({'a': [2.0], 'b': days[1:],
                                          'c': days[:1]})]
  table_files.write(tmp_path / 'own.PARQUET', frames)
  found = pd.read_parquet(tmp_path / 'own.PARQUET')
  assert found['b'].tolist() == ['1.2', '1.25']
  assert found['c'].tolist()[1] == '2020-01-02'
  with pytest.raises(errors.InvalidValueError, match='different names'):
    table_files.write(
        tmp_path / 'two.parquet', [pd.DataFrame([[1, 2]], columns=['a', 'a'])])
  with pytest.raises(errors.InvalidValueError, match='.csv or .parquet'):
    table_files.write(tmp_path / 'own.xlsx', frames)
  assert [*tmp_path.iterdir()] == [tmp_path / 'own.PARQUET']
