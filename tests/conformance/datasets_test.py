"""What holds for every data set that is read without a network."""

import numpy as np
import pytest

from tests import cases
from tf_resflow import configuration
from tf_resflow import datasets

_NUM_VALIDATION = 30
_NAMES = pytest.mark.parametrize(
    'name', cases.DATASETS.values(), ids=cases.DATASETS)


@pytest.fixture(scope='module')
def data_dir(tmp_path_factory):
  return tmp_path_factory.mktemp('data')


def arrays(name, split, data_dir, **kwargs):
  return datasets.load(name, split, data_dir=data_dir, **kwargs).arrays


@pytest.mark.parametrize('split', ['train', 'test'])
@_NAMES
def test_examples_are_what_is_stated(name, split, data_dir):
  info = datasets.info(name)
  part = datasets.load(name, split, data_dir=data_dir)
  x, labels = part.arrays['x'].numpy(), part.arrays['label'].numpy()
  assert info.name == name
  assert labels.dtype == np.int32
  assert x.shape == (part.num_examples, *info.event_shape)
  assert part.event_shape == info.event_shape
  stated = info.num_train if split == 'train' else info.num_test
  assert stated in (None, part.num_examples)
  expected = range(info.num_classes) if info.num_classes else [-1]
  assert sorted(set(labels)) == list(expected)
  if part.num_levels is None:
    assert x.dtype == np.float32 and np.all(np.isfinite(x))
    assert np.all(x.std(axis=0) > 0)
  else:
    assert x.dtype == np.uint8 and part.num_levels == info.num_levels
    # The highest levels are used, and no higher ones.
    assert 0.8 * info.num_levels < int(x.max()) + 1 <= info.num_levels


@_NAMES
def test_parts_are_the_same_at_every_reading_and_apart(name, data_dir):
  train, again, test = [
      arrays(name, split, data_dir) for split in ('train', 'train', 'test')]
  for key, values in train.items():
    np.testing.assert_array_equal(values, again[key])
  assert train['x'].shape != test['x'].shape or np.any(
      train['x'] != test['x'])
  rest, validation = [
      arrays(name, split, data_dir, num_validation=_NUM_VALIDATION)
      for split in ('train', 'validation')]
  assert len(validation['x']) == _NUM_VALIDATION
  if len(rest['x']) < len(train['x']):  # Not of what is drawn.
    np.testing.assert_array_equal(
        np.concatenate([rest['x'], validation['x']]), train['x'])


@_NAMES
def test_a_model_is_made_of_its_facts(name):
  config = configuration.make_config(
      dataset=name, num_blocks=1 if name.startswith('2d/') else (1,))
  info = datasets.info(name)
  model = config.model.build()
  assert model.event_shape == info.event_shape
  assert model.unit == ('nats' if info.model == 'vector' else 'bits_per_dim')


@_NAMES
def test_fewer_bits_and_another_size(name, data_dir):
  info = datasets.info(name)
  options = {'resize': 4}
  if info.model == 'vector':
    with pytest.raises(ValueError, match='It is for images'):
      datasets.load(name, 'test', data_dir=data_dir, **options)
    return
  if info.num_levels == 256:
    options['num_bits'] = 5
  part = datasets.load(name, 'test', data_dir=data_dir, **options)
  images = part.arrays['x'].numpy()
  assert images.shape[1:3] == (4, 4) == part.event_shape[:2]
  assert images.max() < part.num_levels == (
      32 if 'num_bits' in options else info.num_levels)
