"""What holds for every data set that is read without a network."""

import numpy as np
import pytest

from tests import cases
from tf_resflow import datasets

_NUM_VALIDATION = 30


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  return tmp_path_factory.mktemp('data')


def arrays(name, split, data_dir, **kwargs):
  return datasets.load(name, split, data_dir=data_dir, **kwargs).arrays


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('name', cases.DATASETS.values(), ids=cases.DATASETS)
def test_examples_are_what_is_stated(name, split, data_dir):
  info = datasets.info(name)
  part = datasets.load(name, split, data_dir=data_dir)
  images, labels = part.arrays['image'].numpy(), part.arrays['label'].numpy()
  assert info.name == name
  assert images.dtype == np.uint8 and labels.dtype == np.int32
  assert images.shape == (part.num_examples, *info.image_shape)
  stated = info.num_train if split == 'train' else info.num_test
  assert stated in (None, part.num_examples)
  # The highest levels are used, and no higher ones.
  assert 0.8 * info.num_levels < int(images.max()) + 1 <= info.num_levels
  expected = range(info.num_classes) if info.num_classes else [-1]
  assert sorted(set(labels)) == list(expected)


@pytest.mark.parametrize('name', cases.DATASETS.values(), ids=cases.DATASETS)
def test_parts_are_the_same_at_every_reading_and_apart(name, data_dir):
  train, again, test = [
      arrays(name, split, data_dir) for split in ('train', 'train', 'test')]
  for key, values in train.items():
    np.testing.assert_array_equal(values, again[key])
  assert train['image'].shape != test['image'].shape or np.any(
      train['image'] != test['image'])
  rest, validation = [
      arrays(name, split, data_dir, num_validation=_NUM_VALIDATION)
      for split in ('train', 'validation')]
  assert len(validation['image']) == _NUM_VALIDATION
  np.testing.assert_array_equal(
      np.concatenate([rest['image'], validation['image']]), train['image'])


@pytest.mark.parametrize('name', cases.DATASETS.values(), ids=cases.DATASETS)
def test_fewer_bits_and_another_size(name, data_dir):
  options = {'resize': 4}
  if datasets.info(name).num_levels == 256:
    options['num_bits'] = 5
  part = datasets.load(name, 'test', data_dir=data_dir, **options)
  images = part.arrays['image'].numpy()
  assert images.shape[1:3] == (4, 4) == part.image_shape[:2]
  assert images.max() < part.num_levels == (
      32 if 'num_bits' in options else datasets.info(name).num_levels)
