"""Parts of image data sets: arrays of the reader's own, bits, sizes."""

import dataclasses

import numpy as np
import pytest

from tests import splits
from tf_resflow import datasets
from tf_resflow.configuration import registries
from tf_resflow.datasets import condition_info


@pytest.fixture(name='grey')
def _grey(monkeypatch):
  """Registers a data set of the reader's own."""
  rng = np.random.default_rng(1)
  images = rng.integers(0, 4, [9, 2, 4, 3], dtype=np.uint8)
  parts = {'train': (images[:6], np.arange(6)), 'test': (images[6:], None)}
  info = datasets.ImageInfo(
    name='grey', image_shape=(2, 4, 3), num_levels=4, num_classes=6,
    load_fn=parts.get,
  )
  monkeypatch.setitem(registries.DATASETS._entries, 'grey', info)
  return images, info


def test_arrays_of_the_reader(grey):
  images, _ = grey
  assert 'grey' in datasets.names()
  parts = {
    split: datasets.load('grey', split, num_validation=2)
    for split in ('train', 'validation', 'test')
  }
  assert [part.num_examples for part in parts.values()] == [4, 2, 3]
  assert parts['train'].event_shape == (2, 4, 3)
  got = [splits.read(part) for part in parts.values()]
  np.testing.assert_array_equal(np.concatenate([x for x, _ in got]), images)
  assert np.concatenate([y for _, y in got]).tolist() == [
    0, 1, 2, 3, 4, 5, -1, -1, -1
  ]
  assert splits.read(datasets.load('grey', 'test', resize=4))[0].shape == (
    3, 4, 4, 3
  )


@pytest.mark.parametrize('changes', [
  {}, {'resize': 4}, {'num_bits': 1}, {'resize': 4, 'num_bits': 1},
])
def test_conditions_of_arrays_of_the_reader(monkeypatch, changes):
  """Also of images that are made of others."""
  rng = np.random.default_rng(1)
  images = rng.integers(0, 256, [9, 2, 4, 3], dtype=np.uint8)
  conditions = np.stack([np.arange(9.0), images.mean(axis=(1, 2, 3))], axis=1)
  parts = {'train': (images[:6], None), 'test': (images[6:], None)}
  given = {'train': conditions[:6], 'test': conditions[6:]}
  monkeypatch.setitem(
    registries.DATASETS._entries, 'coloured', datasets.ImageInfo(
      name='coloured', image_shape=(2, 4, 3), load_fn=parts.get,
      entry_fn=lambda: (condition_info.ConditionInfo(size=2), given)))
  plain, given = (
    [datasets.load('coloured', split, num_validation=2, **changes, **asked)
     for split in ('train', 'validation', 'test')]
    for asked in ({}, {'condition': ('condition',)})
  )
  for one, other in zip(plain, given, strict=True):
    assert not one.is_conditional and other.is_conditional
    np.testing.assert_array_equal(one.arrays['x'], other.arrays['x'])
  found = np.concatenate([split.arrays['condition'] for split in given])
  np.testing.assert_array_equal(found, conditions.astype(np.float32))


@pytest.mark.parametrize('images, labels, message', [
  (np.zeros([6, 2, 4], np.uint8), None, r'images=uint8 \[6, 2, 4\]: expected'),
  (np.zeros([6, 2, 4, 3], np.float32), None, 'images=float32'),
  (np.full([6, 2, 4, 3], 4, np.uint8), None, 'images=4: expected levels below'),
  (np.zeros([6, 2, 4, 3], np.uint8), [1], 'labels=1: expected 6 labels'),
])
def test_bad_arrays_of_the_reader(grey, monkeypatch, images, labels, message):
  info = dataclasses.replace(grey[1], load_fn=lambda _: (images, labels))
  monkeypatch.setitem(registries.DATASETS._entries, 'grey', info)
  with pytest.raises(ValueError, match=message):
    datasets.load('grey', 'train')


@pytest.mark.parametrize('num_bits', [1, 5, 7, 8])
def test_num_bits(num_bits, embedded_dir):
  full = datasets.load('mnist5k', 'test', data_dir=embedded_dir)
  less = datasets.load(
    'mnist5k', 'test', data_dir=embedded_dir, num_bits=num_bits
  )
  assert less.num_levels == 2**num_bits
  np.testing.assert_array_equal(
    less.arrays['x'], full.arrays['x'].numpy() // 2**(8 - num_bits)
  )


def test_resize(embedded_dir):
  """An average of whole blocks; the order with bits is resize, then reduce."""
  full = datasets.load('mnist5k', 'test', data_dir=embedded_dir)
  half = datasets.load('mnist5k', 'test', data_dir=embedded_dir, resize=14)
  assert half.event_shape == (14, 14, 1)
  small = half.arrays['x'].numpy().astype(np.float64)
  large = full.arrays['x'].numpy().astype(np.float64)
  # A triangle over four pixels: weights 1, 3, 3, 1 in each direction.
  row = (large[:, 2:26:2] * 3 + large[:, 1:25:2] + 3 * large[:, 3:27:2] +
         large[:, 4:28:2]) / 8
  block = (row[:, :, 2:26:2] * 3 + row[:, :, 1:25:2] + 3 * row[:, :, 3:27:2] +
           row[:, :, 4:28:2]) / 8
  assert np.abs(small[:, 1:13, 1:13] - block).max() <= 0.5 + 1e-4
  reduced = datasets.load(
    'mnist5k', 'test', data_dir=embedded_dir, resize=14, num_bits=3
  )
  np.testing.assert_array_equal(reduced.arrays['x'], small // 32)
