"""Images of splits and files, as a model sees them."""

import numpy as np
import pytest

from tests import flows
from tests import splits
from tf_resflow import datasets
from tf_resflow.evaluation import examples as examples_lib

_KEYS = ('x', 'label', 'index')


@pytest.fixture(scope='module')
def model():
  return flows.make_flow_without_blocks(num_levels=16)


def _levels(num_images=7):
  return np.random.default_rng(2).integers(0, 16, [num_images, 4, 4, 1])


def _all(examples, batch_size):
  batches = list(examples.batches(batch_size))
  assert max(len(batch['index']) for batch in batches) <= batch_size
  return {key: np.concatenate([batch[key] for batch in batches])
          for key in _KEYS}


@pytest.mark.parametrize('batch_size', [2, 7])
def test_a_split_gets_the_noise_of_a_repeat(batch_size):
  split = splits.random_split(7, 16)
  found = _all(examples_lib.examples_from_split(split, 3, 1), batch_size)
  (expected,) = datasets.evaluation_batches(
      split, batch_size=7, seed=3 * 1009 + 1)
  for key in _KEYS:
    np.testing.assert_array_equal(found[key], expected[key])
  other = _all(examples_lib.examples_from_split(split, 3, 0), batch_size)
  assert np.all(np.any(other['x'] != found['x'], axis=(1, 2, 3)))
  few = examples_lib.examples_from_split(split, 3, 1, num_examples=5)
  assert few.num_examples == 5
  np.testing.assert_array_equal(
      _all(few, batch_size)['x'], found['x'][:5])


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.int64])
@pytest.mark.parametrize('key', ['x', 'image'])
def test_integers_of_a_file_are_those_of_a_split(tmp_path, model, key, dtype):
  levels, labels = _levels(), np.arange(7) % 3
  np.savez(tmp_path / 'a.npz', label=labels, **{key: levels.astype(dtype)})
  found = examples_lib.examples_from_file(tmp_path / 'a.npz', model, 3, 1)
  expected = examples_lib.examples_from_split(
      splits.make_split(levels.astype(np.uint8), 16, labels), 3, 1)
  assert found.num_examples == 7
  found, expected = _all(found, 2), _all(expected, 7)
  for name in _KEYS:
    np.testing.assert_array_equal(found[name], expected[name])
  np.testing.assert_array_equal(np.floor(16 * found['x']), levels)


@pytest.mark.parametrize('num_examples', [None, 5])
def test_floats_of_a_file_are_what_they_are(tmp_path, model, num_examples):
  x = np.random.default_rng(0).uniform(size=[7, 4, 4, 1])
  # As bin/sample writes them: the bytes of the picture stand beside x.
  np.savez(tmp_path / 'a.npz', x=x, image=np.zeros([7, 4, 4, 1], np.uint8))
  examples = examples_lib.examples_from_file(
      tmp_path / 'a.npz', model, 3, 1, num_examples)
  assert examples.num_examples == (num_examples or 7)
  for _ in range(2):
    found = _all(examples, 3)
    np.testing.assert_array_equal(found['x'], x[:num_examples])
    np.testing.assert_array_equal(
        found['index'], np.arange(examples.num_examples))
    assert set(found['label']) == {-1}


@pytest.mark.parametrize('arrays, message', [
    ({}, 'Its arrays are none.'),
    ({'images': _levels()}, 'Its arrays are images.'),
    ({'x': _levels() > 3}, 'Its x has the dtype bool.'),
    ({'image': _levels()[..., 0]}, r'Its image has the shape \(7, 4, 4\).'),
    ({'x': _levels(0)}, r'Its x has the shape \(0, 4, 4, 1\).'),
    ({'x': _levels() + 1}, r'Its x lies in \[1, 16\].'),
    ({'x': _levels() - 1}, r'Its x lies in \[-1, 14\].'),
    ({'x': 0.1 * _levels()}, r'Its x lies in \[0.0, 1.5\].'),
    ({'x': np.full([1, 4, 4, 1], np.nan)}, r'Its x lies in \[nan, nan\].'),
    ({'x': _levels(), 'label': np.arange(6)}, r'Its label is int64 \(6,\), n'),
    ({'x': _levels(), 'label': np.ones([7])}, r'label is float64 \(7,\), not'),
])
def test_bad_files(tmp_path, model, arrays, message):
  np.savez(tmp_path / 'a.npz', **arrays)
  with pytest.raises(ValueError, match=message) as error:
    examples_lib.examples_from_file(
        tmp_path / 'a.npz', model, name='against')
  assert str(error.value).startswith(
      f'against={tmp_path}/a.npz: expected an .npz file with an array x or '
      'image [n, 4, 4, 1], integers from 0 to 15 or dequantised floats')


def test_more_examples_than_there_are(tmp_path, model):
  np.savez(tmp_path / 'a.npz', x=_levels())
  with pytest.raises(ValueError, match='num_examples=8: expected at most 7'):
    examples_lib.examples_from_file(tmp_path / 'a.npz', model, num_examples=8)
