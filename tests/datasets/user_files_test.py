"""The held-out part, and files that are read once."""

import pathlib

import numpy as np
import pytest

from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.datasets import user_files


def test_a_fifth_is_held_out():
  for num_examples, num_test in ((10, 2), (100, 20), (178, 36)):
    parts = user_files.held_out(num_examples)
    assert len(parts['test']) == num_test
    np.testing.assert_array_equal(
      np.sort(np.concatenate(list(parts.values()))), np.arange(num_examples))
  # Another choice would train runs on what they were tested on.
  assert user_files.held_out(20)['test'].tolist() == [18, 1, 19, 8]


def test_files_that_are_missing(tmp_path):

  @user_files.opener('text', 'a text')
  def content(path):
    with user_files.reading(), open(path, encoding='utf-8') as file:
      return file.read()

  (tmp_path / 'second').touch()
  testing.check_refusals(lambda name: content(f'{tmp_path}/{name}'), [
    ('first', f'dataset=text:{tmp_path}/first: expected a text. There is no '
     'such file.'),
    ('secnd', '...There is no such file. Did you mean second?')])


@datasets.opener('shards', 'a folder of .npy files')
def _open_shards(folder):
  """What a reader writes, on public names."""
  shards = []
  for path in sorted(pathlib.Path(folder).rglob('*.npy')):
    with datasets.reading(path.name):
      shards.append(np.load(path))
  rows = np.concatenate(shards)
  return datasets.VectorInfo(
    name=f'shards:{folder}', event_size=2, asked_types={},
    fingerprint=datasets.fingerprint(rows),
    load_fn=lambda part: (rows[datasets.held_out(len(rows))[part]], None))


def test_files_of_a_folder(tmp_path):
  """One is named if something is wrong in it."""
  folder, rows = str(tmp_path), np.random.default_rng(0).normal(size=[20, 2])
  path = tmp_path / 'below' / 'b.npy'
  path.parent.mkdir()
  (path.parent / 'again').symlink_to(tmp_path)
  for name in (tmp_path / 'a.npy', path):
    np.save(name, rows)
  info = _open_shards(folder)
  np.save(path, 2.0 * rows)
  assert _open_shards(folder).fingerprint != info.fingerprint
  path.write_bytes(b'no array')
  assert splits.refusal(_open_shards, folder) == (
    f'dataset=shards:{folder}: expected a folder of .npy files. b.npy: It '
    'cannot be read: it is no file of numpy.save or numpy.savez.')
  rows[3, 1] = np.nan
  np.save(path, rows)
  place = np.flatnonzero(datasets.held_out(40)['train'] == 20 + 3)
  assert splits.refusal(_open_shards(folder).with_validation, 0) == (
    f'dataset=shards:{folder}: expected finite numbers from its load_fn. Its '
    f'train part has 1 values that are not finite, the first in row {place[0]},'
    ' column 1 (nan).')
  with pytest.raises(errors.FormatError, match=(
      r'^b.npy: It has .* the first in row 3, column 1 \(nan\)\.$')):
    with datasets.reading('b.npy'):
      datasets.check_finite(rows)
