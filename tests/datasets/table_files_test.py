"""Frames of cells, from all formats of tables."""

import gzip
import os

import numpy as np
import pandas as pd
import pytest

from tf_resflow import errors
from tf_resflow.datasets import own_files
from tf_resflow.datasets import table_files


def _read(tmp_path, text, name='own.csv', sheet=None):
  path = tmp_path / name
  path.write_bytes(text if isinstance(text, bytes) else text.encode())
  return table_files.read_frame(path, sheet)


def _refused(tmp_path, text, name='own.csv', sheet=None):
  with pytest.raises(errors.FormatError) as error:
    _read(tmp_path, text, name, sheet)
  return str(error.value)


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
  ('a;b\n1,5;2.5\n', [['1.5', '2.5']]),
  ('a;b\n1,5;x\n2.5;y\n', [['1,5', 'x'], ['2.5', 'y']]),
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
  assert _refused(tmp_path, 'a,3\n1,2\n').startswith(
    'Its first line, a, 3, mixes names and numbers.')


def test_lines_are_those_of_the_file(tmp_path):
  frame = _read(tmp_path, '\n\na,b\n1,2\n\n3,\n , \n5,6')
  assert frame.index.tolist() == [4, 6, 8] and frame.index.name == 'line'
  path = tmp_path / 'own.csv'
  path.write_text('a,b\n1,2,3\n3,4\n5\n6,7\n')
  frame, problem = table_files.read(path)
  assert frame.index.tolist() == [3, 5]
  assert problem == '3 cells, not 2 like the first line, in lines 2, 4'
  path.write_text('"a\n""","b\n"\n1,2\n3,"x\n\ny"\n5,6\n"7\n"\n8,9')
  frame, problem = table_files.read(path)
  assert frame.index.tolist() == [4, 5, 8, 11]
  assert problem.endswith('like the first line, in line 9')
  assert list(frame.columns) == ['a\n"', 'b']
  # Where the first line has no mark, a comma is one.
  assert '2 cells, not 1' in _refused(tmp_path, 'a\n1,5\n')
  assert table_files.places(
    pd.RangeIndex(5, name='row'), np.arange(5) != 1
  ) == 'in rows 0, 2, 3 (4 rows)'


def test_formats_of_columns(tmp_path):
  expected = pd.DataFrame({
    'a': [1.5, np.nan], 'b': ['x', 'y'], '3': [7, 8],
    # Integers stay integers beside missing ones.
    'n': pd.array([2**52 + 1, None], 'Int64')})
  # Its index stands in the file, and is none of the columns.
  expected.set_axis(['p', 'q']).to_parquet(tmp_path / 'own.parquet')
  expected.to_feather(tmp_path / 'own.feather')
  expected[['a', 'b']].to_csv(
    tmp_path / 'own.tsv.gz', sep='\t', index=False)
  with pd.ExcelWriter(tmp_path / 'own.xlsx') as book:
    pd.DataFrame({'other': [1]}).to_excel(book, sheet_name='first')
    expected.to_excel(
      book, sheet_name='second', index=False, startrow=2, startcol=1)
  for name in ('own.parquet', 'own.feather', 'own.xlsx'):
    found = table_files.read_frame(
      tmp_path / name, 'second' if name == 'own.xlsx' else None)
    found = found[list(expected.columns)].reset_index(drop=True)
    assert found.to_csv() == expected.to_csv()
  # Those that a reader of a spreadsheet sees.
  assert table_files.read_frame(
    tmp_path / 'own.xlsx', 'second').index.tolist() == [4, 5]
  assert list(table_files.read_frame(tmp_path / 'own.xlsx').columns) == [
    'Unnamed: 0', 'other']
  with pytest.raises(errors.FormatError, match='sheet third; its sheets are f'):
    table_files.read_frame(tmp_path / 'own.xlsx', 'third')
  found = table_files.read_frame(tmp_path / 'own.tsv.gz')
  assert found.to_dict('list') == {'a': ['1.5', ''], 'b': ['x', 'y']}


def test_what_is_no_table(tmp_path):
  for text, name, sheet, expected in (
    ('', 'own.csv', None, 'It is empty.'), (' \n,\n', 'own.csv', None, 'It is'),
    (b'\xff\xfea\0', 'own.csv', None, 'Save it as UTF-8.'),
    (b'a\n\xe9', 'own.csv', None, 'Save it as UTF-8.'),
    ('a', 'own.csv.gz', None, 'It cannot be read: Not a gzipped file'),
    ('a', 'own.parquet', None, 'It cannot be read'),
    ('a', 'own.xlsx', None, 'It cannot be read: File is not a zip file.'),
    ('a', 'own.pkl', None, 'A pickle can run any code'),
    ('a', 'own.xls', None, 'Save it as .xlsx'),
    ('a;b\n1.234;2\n1,5;3\n0,5;1.234\n', 'own.csv', None,
     'It has decimal commas, but also 1.234'),
    ('a\n1', 'own.csv', 'first', 'Only .xlsx files have sheets')):
    assert expected in _refused(tmp_path, text, name, sheet), name
  assert table_files.is_table('A.CSV') and table_files.is_table('a.tsv.gz')
  assert not table_files.is_table('a.npz') and not table_files.is_table(None)


def test_what_is_no_local_file(tmp_path):
  os.mkfifo(tmp_path / 'pipe.csv')
  for path, expected in (
    (tmp_path / 'none.csv', 'There is no such file'), (tmp_path, 'It is a fol'),
    (tmp_path / 'pipe.csv', 'It is a pipe or a device'),
    ('/dev/zero', 'It is a pipe or a device'),
    ('https://host/own.csv', 'It is a URL')):
    with pytest.raises(errors.FormatError, match=expected):
      table_files.read_frame(path)


def test_files_that_expand_are_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(table_files, 'MAX_TEXT_BYTES', 2**20)
  monkeypatch.setattr(table_files, 'MAX_WORKBOOK_BYTES', 100)
  assert 'It holds more than' in _refused(
    tmp_path, gzip.compress(b'a\n' + b'1\n' * 2**20), 'own.csv.gz')
  pd.DataFrame({'a': [1]}).to_excel(tmp_path / 'own.xlsx')
  with pytest.raises(errors.FormatError, match='It expands to'):
    table_files.read_frame(tmp_path / 'own.xlsx')
  # One may not say so.
  monkeypatch.setattr(own_files, 'MAX_MEMBERS', 3)
  with pytest.raises(errors.FormatError, match='members; at most 3'):
    table_files.read_frame(tmp_path / 'own.xlsx')
