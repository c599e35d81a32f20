"""The held-out part, and files that are read once."""

import os
import pathlib

import numpy as np
import pytest

from tests import splits
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.datasets import own_files


def test_a_fifth_is_held_out():
  for num_examples, num_test in ((10, 2), (100, 20), (178, 36)):
    parts = own_files.held_out(num_examples)
    assert len(parts['test']) == num_test
    np.testing.assert_array_equal(
      np.sort(np.concatenate(list(parts.values()))), np.arange(num_examples))
  # Another choice would train runs on what they were tested on.
  assert own_files.held_out(20)['test'].tolist() == [18, 1, 19, 8]


def test_files_are_read_again_when_they_change(tmp_path):
  """Also further ones, and with other options."""
  read = []

  @own_files.opener('text', 'a text', files=['other'])
  def content(path, *, names=(), other=None):
    read.append(names)
    with own_files.reading(), open(other or path, encoding='utf-8') as file:
      return file.read()

  first, second = tmp_path / 'first', tmp_path / 'second'
  with pytest.raises(errors.InvalidValueError, match=(
      f'dataset=text:{first}: expected a text. There is no such file.')):
    content(str(first))
  second.touch()
  with pytest.raises(errors.InvalidValueError, match=(
      r'There is no such file. Did you mean second\?$')):
    content(f'{tmp_path}/secnd')
  read.clear()
  for text in ('one', 'other'):
    first.write_text(text)
    second.write_text(2 * text)
    for _ in range(2):
      assert content(str(first)) == content(str(first), names=['a']) == text
      assert content(str(first), other=str(second)) == 2 * text
  assert read == 2 * [(), ('a',), ()]


@datasets.opener('shards', 'a folder of .npy files')
def _open_shards(folder):
  """What a reader writes, on public names."""
  shards = []
  for path in sorted(pathlib.Path(folder).rglob('*.npy')):
    with datasets.reading(path.name):
      shards.append(np.load(path))
  rows = np.concatenate(shards)
  return datasets.VectorInfo(
    name=f'shards:{folder}', event_size=2, mean=tuple(rows.mean(axis=0)),
    std=tuple(rows.std(axis=0)), columns=('a', 'b'),
    fingerprint=datasets.fingerprint(rows),
    load_fn=lambda part: (rows[datasets.held_out(len(rows))[part]], None))


def test_files_of_a_folder(tmp_path):
  """One that changes is read again, and named if something is wrong in it."""
  folder, rows = str(tmp_path), np.random.default_rng(0).normal(size=[20, 2])
  path = tmp_path / 'below' / 'b.npy'
  path.parent.mkdir()
  (path.parent / 'again').symlink_to(tmp_path)
  for name in (tmp_path / 'a.npy', path):
    np.save(name, rows)
  info = _open_shards(folder)
  assert _open_shards(folder) is info
  np.save(path, 2.0 * rows)  # As large; the folders stay as they are.
  os.utime(path, ns=(0, 10**9 + path.stat().st_mtime_ns))
  assert _open_shards(folder).fingerprint != info.fingerprint
  path.write_bytes(b'no array')
  assert splits.refusal(_open_shards, folder) == (
    f'dataset=shards:{folder}: expected a folder of .npy files. b.npy: It '
    'cannot be read: it is no file of numpy.save or numpy.savez.')
  rows[3, 1] = np.nan
  np.save(path, rows)
  place = np.flatnonzero(datasets.held_out(40)['train'] == 20 + 3)
  assert splits.refusal(_open_shards, folder) == (
    f'dataset=shards:{folder}: expected finite numbers from its load_fn. Its '
    f'train part has 1 values that are not finite, the first in row {place[0]},'
    ' column b (nan).')
  with pytest.raises(errors.FormatError, match=(
      r'^b.npy: It has .* the first in row 3, column 1 \(nan\)\.$')):
    with datasets.reading('b.npy'):
      datasets.check_finite(rows)


def _warnings(caplog, *columns, types=()):
  caplog.clear()
  own_files.warn_of_density(
    [f'c{i}' for i in range(len(columns))], np.stack(columns, axis=1), types)
  return [record.getMessage() for record in caplog.records]


def test_marks_of_missing_values_are_named(caplog):
  a = np.random.default_rng(0).normal(50.0, 10.0, 200)
  for value, count, is_named in (
      (-999.0, 1, True), (2**31 - 1, 12, True), (500.0, 3, True),
      (500.0, 2, False), (110.0, 3, False)):
    marked = np.append(a, [value] * count)
    texts = _warnings(caplog, marked, marked[::-1] + np.arange(len(marked)))
    assert [text for text in texts if 'c0' in text] == is_named * [
        f'Column c0 has {value:.12g} in {count} of {200 + count} rows, far from'
        f' all others ({a.min():g} to {a.max():g}): if it stands for missing '
        'values, empty these cells.']
  # Two answers, and few values, are no marks.
  assert 'far from' not in str(_warnings(
      caplog, a, np.arange(200) % 2, np.arange(200) // 50 * 7.0**4))


def test_columns_without_a_density_are_warned_of(caplog):
  a, b = np.random.default_rng(0).normal(size=[2, 200])
  assert _warnings(caplog, a, b) == []
  # Rounded measurements pass.
  assert _warnings(caplog, a, np.round(b, 1)) == []
  (text,) = _warnings(caplog, a, np.round(b))
  assert 'Column c1 has only 8 distinct values in 200 rows' in text
  c = np.random.default_rng(1).normal(size=200)
  (text,) = _warnings(caplog, a, c, b, 2.0 * a - 3.0 * b + 1.0)
  assert 'The columns c0, c2, c3 are linearly dependent' in text
  few, more = (np.arange(200) % n for n in (6, 7))
  (text,) = _warnings(
    caplog, a, few, more, types=('real', 'integer', 'signed_integer'))
  assert text.startswith('Few different whole numbers are in c1 (6); samples')
  # Fewer rows than columns say nothing of it.
  assert _warnings(caplog, *np.eye(3)[:, :2] + a[:2]) == []
