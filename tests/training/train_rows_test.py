"""Rows are recognised by their numbers in float32 and their conditions."""

import hashlib
import os
import struct

import numpy as np
import pytest

from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow.training import train_rows


def test_row_hashes():
  x = [[0.1, -2.0], [0.0, 5e-3], [0.1, -2.0]]
  found = train_rows.row_hashes(x, [[7.0], [8.0], [9.0]])
  assert found.dtype == np.uint64
  for value, row, c in zip(found, x, (7.0, 8.0, 9.0), strict=True):
    assert value.tobytes() == hashlib.blake2b(
        struct.pack('<3f', *row, c), digest_size=8).digest()
  assert len(np.unique(found)) == 3
  # What is one row in float32; labels are conditions.
  for same in (np.asfortranarray(np.float32(x)), np.array(x) * (1 + 1e-12),
               x[:1] + [[-0.0, 5e-3]] + x[2:]):
    np.testing.assert_array_equal(
        train_rows.row_hashes(same, np.array([7, 8, 9])), found)
  other = train_rows.row_hashes(np.float32(x) * np.float32(1 + 2e-7), [7, 8, 9])
  assert not np.any(other == found)
  np.testing.assert_array_equal(
      train_rows.row_hashes(np.asfortranarray(x)), train_rows.row_hashes(x))


@pytest.mark.parametrize('condition', [(), ('label',)])
def test_the_rows_of_a_run(tmp_path, condition):
  x = np.random.default_rng(0).normal(size=[50, 3])
  np.savez(tmp_path / 'own.npz', x=x, label=np.arange(50) % 4)
  split = datasets.open_split(
      f'array:{tmp_path}/own.npz', 'train', condition_on=condition,
      num_validation=5)
  assert train_rows.read(str(tmp_path)) is None
  train_rows.write(str(tmp_path), split)
  known = train_rows.read(str(tmp_path))
  labels = [np.arange(50) % 4] * len(condition)
  is_known = np.isin(train_rows.row_hashes(x, *labels), known)
  assert is_known.sum() == len(known) == 35
  trained = {tuple(row) for row in split.arrays['x'].numpy()}
  np.testing.assert_array_equal(
      is_known, [tuple(row) in trained for row in np.float32(x)])
  if condition:  # Another label makes another row.
    assert not np.isin(train_rows.row_hashes(x, labels[0] + 1), known).any()


def test_no_file(tmp_path, monkeypatch):
  train_rows.write(str(tmp_path), splits.random_split(9, 16))
  train_rows.write(str(tmp_path), datasets.open_split('2d/moons', 'train'))
  np.savez(tmp_path / 'own.npz', x=np.random.default_rng(0).normal(
      size=[20, 2]))
  monkeypatch.setattr(train_rows, 'MAX_ROWS', 15)
  split = datasets.open_split(f'array:{tmp_path}/own.npz', 'train')
  train_rows.write(str(tmp_path), split)
  assert [path.name for path in tmp_path.iterdir()] == ['own.npz']
  monkeypatch.setattr(train_rows, 'MAX_ROWS', 16)
  train_rows.write(str(tmp_path), split)
  assert (tmp_path / 'train_rows.npy').exists()


def test_another_file(tmp_path):
  start = f'workdir={tmp_path}: expected a train_rows.npy of training. It '
  path = tmp_path / 'train_rows.npy'

  def read(write):
    write()
    train_rows.read(str(tmp_path))

  testing.check_refusals(read, [
      (lambda: path.write_bytes(b'nothing'), f'{start}cannot be read: '),
      (lambda: np.save(path, np.arange(3.0)), f'{start}is another file;'),
      (lambda: (path.unlink(), os.mkfifo(path)), f'{start}is a pipe or a')])


def test_readable_files(tmp_path, caplog):
  path = tmp_path / 'train_rows.npy'
  assert not train_rows.is_readable(str(tmp_path))
  np.save(path, np.arange(9, dtype=np.uint64))
  assert train_rows.is_readable(str(tmp_path)) and not caplog.text
  for size in (90, 0):
    os.truncate(path, size)
    assert not train_rows.is_readable(str(tmp_path))
    assert caplog.messages[-1].startswith(
        f'Damaged training rows are written anew: workdir={tmp_path}: exp')
