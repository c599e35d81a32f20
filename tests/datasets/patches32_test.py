"""Patches of photographs: where they lie."""

import numpy as np
from sklearn import datasets as sklearn_datasets

from tf_resflow import datasets
from tf_resflow.datasets import patches32


def _columns(part, monkeypatch):
  """Returns the columns that each patch covers, by numbering the pixels."""
  place = np.arange(427 * 640).reshape([427, 640])
  coded = np.stack([place // 65536, place // 256 % 256, place % 256], axis=-1)
  bunch = type('Bunch', (), {'images': [coded.astype(np.uint8)] * 2})
  monkeypatch.setattr(sklearn_datasets, 'load_sample_images', lambda: bunch)
  patches, _ = patches32.load(part)
  return (patches.astype(int) * [65536, 256, 1]).sum(axis=-1)


def test_no_pixel_is_in_both_parts(monkeypatch):
  train = np.unique(_columns('train', monkeypatch))
  test = _columns('test', monkeypatch)
  assert not len(np.intersect1d(train, test))
  # Those for testing do not overlap: both photographs hold each pixel once.
  values, counts = np.unique(test, return_counts=True)
  assert set(counts) == {2} and len(values) == 65 * 32 * 32


def test_they_are_pieces_of_the_photographs():
  train, labels = patches32.load('train')
  test, _ = patches32.load('test')
  info = datasets.info('patches32')
  assert (len(train), len(test)) == (info.num_train, info.num_test)
  assert labels is None
  china, _ = sklearn_datasets.load_sample_images().images
  np.testing.assert_array_equal(train[0], china[:32, :32])
  np.testing.assert_array_equal(train[1], china[4:36, :32])
  np.testing.assert_array_equal(test[1], china[32:64, 96:128])
