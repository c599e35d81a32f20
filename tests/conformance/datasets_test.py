"""Properties of every data set that is read without a network."""

import numpy as np
import pytest

from tests import cases
from tf_resflow import configuration
from tf_resflow import datasets

_NUM_VALIDATION = 30
_NAMES = pytest.mark.parametrize('name', [
    pytest.param(name, id=case, marks=[pytest.mark.slow] * (case in cases.SLOW))
    for case, name in cases.DATASETS.items()
    # Toys have one code path; tests/datasets/toys_test.py compares each.
    if name == '2d/moons' or not name.startswith('2d/')])


@_NAMES
def test_parts_are_what_is_stated_and_apart(name):
  info = datasets.info(name)
  assert info.name == name
  parts = {split: datasets.open_split(name, split)
           for split in ('train', 'test')}
  for part, stated in zip(
      parts.values(), (info.num_train, info.num_test), strict=True):
    x, labels = part.arrays['x'].numpy(), part.arrays['label'].numpy()
    assert labels.dtype == np.int32
    assert x.shape == (part.num_examples, *info.event_shape)
    assert part.event_shape == info.event_shape
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
  train, test = [parts[split].arrays for split in ('train', 'test')]
  assert train['x'].shape != test['x'].shape or np.any(train['x'] != test['x'])
  rest, validation = [
      datasets.open_split(name, split, num_validation=_NUM_VALIDATION).arrays
      for split in ('train', 'validation')]
  assert len(validation['x']) == _NUM_VALIDATION
  # The same at every reading; of what is drawn validation takes nothing away.
  is_drawn = len(rest['x']) == len(train['x'])
  for key, values in train.items():
    np.testing.assert_array_equal(
        rest[key] if is_drawn else np.concatenate(
            [rest[key], validation[key]]), values)


@_NAMES
def test_a_model_is_made_of_its_facts(name):
  config = configuration.make_config(
      dataset=name, num_blocks=1 if name.startswith('2d/') else (1,))
  info = datasets.info(name)
  model = config.model.build()
  assert model.event_shape == info.event_shape
  assert model.unit == ('nats' if info.model == 'vector' else 'bits_per_dim')


@_NAMES
def test_fewer_bits_and_another_size(name):
  info = datasets.info(name)
  options = {'resize': 4}
  if info.model == 'vector':
    with pytest.raises(ValueError, match='It applies to images'):
      datasets.open_split(name, 'test', **options)
    return
  if info.num_levels == 256:
    options['num_bits'] = 5
  part = datasets.open_split(name, 'test', **options)
  images = part.arrays['x'].numpy()
  assert images.shape[1:3] == (4, 4) == part.event_shape[:2]
  assert images.max() < part.num_levels == (
      32 if 'num_bits' in options else info.num_levels)
