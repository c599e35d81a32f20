"""Tables of the reader's own, and what is said of bad ones."""

import csv

import numpy as np

from tests import testing
from tf_resflow import datasets
from tf_resflow.datasets import table_file


def _write(path, text):
  path.write_text(text)
  return str(path)


def _rows(num_rows=30, num_columns=3):
  return np.random.default_rng(0).normal(
    [5.0, -100.0, 0.25][:num_columns], [1.0, 20.0, 0.01][:num_columns],
    [num_rows, num_columns])


def _write_rows(path, rows, names=('a', 'b b', 'c')):
  with open(path, 'w', newline='') as file:
    writer = csv.writer(file)
    if names:
      writer.writerow(names)
    writer.writerows(rows.tolist())
  return str(path)


def test_parts_and_standardisation(tmp_path):
  rows = _rows()
  path = _write_rows(tmp_path / 'own.csv', rows)
  name = f'table:{path}'
  info = datasets.info(name)
  assert info.columns == ('a', 'b b', 'c') and info.event_size == 3
  parts = {
    split: datasets.load(name, split, num_validation=4).arrays['x'].numpy()
    for split in ('train', 'validation', 'test')}
  assert [len(part) for part in parts.values()] == [20, 4, 6]
  found = np.concatenate(list(parts.values()))
  order = np.argsort(found[:, 0])
  np.testing.assert_array_equal(
    found[order], rows[np.argsort(rows[:, 0])].astype(np.float32))
  train = datasets.load(name, 'train').arrays['x'].numpy().astype(np.float64)
  np.testing.assert_allclose(info.mean, train.mean(axis=0), rtol=1e-6)
  np.testing.assert_allclose(info.std, train.std(axis=0), rtol=1e-5)
  # Nothing of the choice depends on a run.
  np.testing.assert_array_equal(
    parts['test'], datasets.load(name, 'test').arrays['x'])


def test_columns_without_names(tmp_path):
  for names, columns in (
    (None, ('x0', 'x1', 'x2')),
    # As pandas writes them.
    ((0, 1, 2), ('0', '1', '2'))):
    path = _write_rows(tmp_path / 'own.csv', _rows(), names)
    info = table_file.open_file(path)
    assert info.columns == columns
    assert info.num_train + info.num_test == 30


def test_another_table_has_another_fingerprint(tmp_path):
  rows, found = _rows(), set()
  for names, table in (
    (('a', 'b', 'c'), rows), (('b', 'a', 'c'), rows),
    (('a', 'b', 'c'), rows[::-1]), (('a', 'b', 'c'), rows[:-1])):
    path = _write_rows(tmp_path / 'own.csv', table, names)
    found.add(table_file.open_file(path).fingerprint)
  assert len(found) == 4


def test_blank_lines_spaces_and_a_byte_order_mark(tmp_path):
  text = '\ufeffa, b\n\n' + ''.join(f' {i} , {i * i}\n' for i in range(12))
  info = table_file.open_file(_write(tmp_path / 'own.csv', text))
  assert info.columns == ('a', 'b') and info.num_train + info.num_test == 12


_GOOD = ''.join(f'{i},{i % 5}\n' for i in range(12))


def test_bad_tables(tmp_path):
  path = tmp_path / 'own.csv'
  testing.check_refusals(lambda x: table_file.open_file(_write(path, x)), [
    (text, f'dataset=table:{path}: expected a...{message}')
    for text, message in (
      ('', 'It is empty'),
      ('a,b\n', 'It has 0 of 10 lines of numbers that a density'),
      ('a,b\n' + _GOOD + '3,red\n', "Line 14, column b holds 'red', not a num"),
      ('a,b\n' + _GOOD + '3,\n', "Line 14, column b holds '', not a number"),
      ('a,b\n1,inf\n' + _GOOD, "Line 2, column b holds 'inf', not a number"),
      ('a,b\n1,1_0\n' + _GOOD, "Line 2, column b holds '1_0', not a number"),
      ('a,b\n1,2,3\n' + _GOOD, 'Line 2 has 3 cells, not 2 as the first one'),
      ('a,a\n' + _GOOD, "names the columns 'a', 'a': every one needs a name"),
      ('a,\n' + _GOOD, "names the columns 'a', ''"),
      ('a,b\n' + ''.join(f'{i},7\n' for i in range(12)),
       'Column b has the value 7 in all rows that train: it has no density'),
      ('a;b\n' + _GOOD.replace(',', ';'), 'Its cells seem to lie between sem'),
      ('a\tb\n' + _GOOD.replace(',', '\t'), 'Its cells seem to lie between t'),
      ('a,3\n' + _GOOD, 'Its first line, a, 3, mixes names and numbers'),
      ('a,b\n' + ''.join(f'{i},{i}e30\n' for i in range(12)),
       'Column b reaches 1.1e+31, beyond what float32 can square'),
      ('a,b\n' + ''.join(f'{i},{i}e-30\n' for i in range(12)),
       'Column b varies by ..., less than float32 can square'),
      ('a,b\n' + ''.join(f'{i},{1e9 + i}\n' for i in range(12)),
       'Column b varies by ... float32 cannot tell its values apart. Subt'))])


def test_a_missing_file_and_one_that_is_no_text(tmp_path):
  (tmp_path / 'bytes.csv').write_bytes(b'\xff\xfe\x00\x01')
  testing.check_refusals(table_file.open_file, [
    (f'{tmp_path}/none.csv', '...There is no such file'),
    (f'{tmp_path}/bytes.csv', '...Save it as UTF-8'),
    (str(tmp_path), '...It is a folder')])
