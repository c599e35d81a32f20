"""The conditions that come with the examples of an array file."""

import numpy as np
import pytest

from tests import splits
from tf_resflow import datasets
from tf_resflow.datasets import array_file

_RNG = np.random.default_rng(0)
_IMAGES = _RNG.integers(0, 256, [20, 4, 6, 3], dtype=np.uint8)
_VECTORS = _RNG.normal([0.0, 7.0], [1.0, 3.0], [20, 2])
_LABELS = np.arange(20) % 3
_NUMBERS = _RNG.normal([-5.0, 0.1], [2.0, 3.0], [20, 2])


def _save(tmp_path, **arrays):
  path = str(tmp_path / 'own.npz')
  np.savez(path, **arrays)
  return path


def _load(path, split, **arguments):
  return datasets.load(f'array:{path}', split, **arguments)


def _check_together(path, condition, x=_VECTORS):
  """Checks that parts have the condition of an example beside it."""
  x, num_found = x.astype(np.float32), 0
  for split in ('train', 'validation', 'test'):
    part = _load(
      path, split, num_validation=5, condition=('condition',)).arrays
    for row, found in zip(part['x'], part['condition'], strict=True):
      (place,) = np.flatnonzero(
        (x == row.numpy()).all(axis=tuple(range(1, x.ndim))))
      np.testing.assert_array_equal(found, condition[place])
      num_found += 1
  assert num_found == len(x)
  return part['condition']


def _open(path):
  """Reads a file of which the conditions are wanted."""
  return array_file.open_file(path).conditioned(['condition'])


@pytest.mark.parametrize('x', [_VECTORS, _IMAGES], ids=['vectors', 'images'])
@pytest.mark.parametrize('condition, shape, dtype', [
  (_NUMBERS, (2,), np.float32),
  (_NUMBERS[:, 0].astype(np.float32), (1,), np.float32),
  (_LABELS.astype(np.uint8), (), np.int32),
], ids=['numbers', 'one_number', 'labels'])
def test_conditions(tmp_path, x, condition, shape, dtype):
  path = _save(tmp_path, x=x, label=_LABELS[::-1], condition=condition)
  expected = condition.reshape([20, *shape]).astype(dtype)
  found = _check_together(path, expected, x)
  assert found.shape[1:] == shape and found.dtype == dtype
  # Without being asked for, they make no difference.
  assert set(_load(path, 'train').arrays) == {'x', 'label'}


@pytest.mark.parametrize('condition', [_NUMBERS, _NUMBERS[:, 1], _LABELS])
def test_conditions_of_a_test_part_of_the_file(tmp_path, condition):
  path = _save(
    tmp_path, x=_VECTORS[:15], x_test=_VECTORS[15:], condition=condition[:15],
    condition_test=condition[15:],
  )
  expected = (condition if condition is _LABELS else condition.reshape(
    [20, -1])).astype(np.float32)
  test = _check_together(path, expected)
  np.testing.assert_array_equal(test, expected[15:])
  entry = datasets.info(f'array:{path}').conditioned(
    ['condition']).condition
  assert entry.num_labels == (3 if condition is _LABELS else 0)
  if condition is not _LABELS:  # Of what trains alone.
    np.testing.assert_allclose(
      entry.mean, expected[:15].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(entry.std, expected[:15].std(axis=0), rtol=1e-5)


def test_whole_numbers_of_two_kinds_go_together(tmp_path):
  path = _save(
    tmp_path, x=_VECTORS, condition=_LABELS.astype(np.uint8),
    x_test=_VECTORS, condition_test=_LABELS,
  )
  assert datasets.info(f'array:{path}').conditioned(
    ['condition']).condition.num_labels == 3


def test_conditions_without_a_density_are_not_warned_of(tmp_path, caplog):
  x = _RNG.normal(size=[200, 2])
  levels = np.stack([np.arange(200.0) % 3, np.arange(200.0) % 3], axis=1)
  _open(_save(tmp_path, x=x, condition=levels))
  assert not caplog.records
  _open(_save(tmp_path, x=levels, condition=x))
  assert caplog.records


@pytest.mark.parametrize('arrays, message', [
  *(({'x': _VECTORS, 'condition': condition}, f'Its condition is {message}')
    for condition, message in (
      (_NUMBERS[:19], r'float64 \[19, 2\], not finite floats \[20, K\] or '
       r'whole numbers \[20\] from 0'),
      (_NUMBERS[..., None], r'float64 \[20, 2, 1\]'),
      (_NUMBERS[:, :0], r'float64 \[20, 0\]'),
      (_NUMBERS[0, 0], r'float64 \[\]'),
      (_NUMBERS.astype(complex), r'complex128 \[20, 2\]'),
      (_NUMBERS > 0, r'bool \[20, 2\]'),
      (_LABELS.astype(str), r'<U21 \[20\]'),
      (_LABELS - 1, r'int64 \[20\]'),
      (_LABELS[:, None], r'int64 \[20, 1\]'),
      (np.where(_NUMBERS == _NUMBERS[3, 1], np.nan, _NUMBERS), 'float64'),
      (np.where(_NUMBERS == _NUMBERS[3, 1], np.inf, _NUMBERS), 'float64'))),
  ({'x': _VECTORS, 'condition': np.full([20], 0.5)},
   'Column 0 of condition has the value 0.5 in all rows'),
  ({'x': _VECTORS, 'condition': _NUMBERS + [0.0, 1e9]},
   'Column 1 of condition varies by .* Subtract a constant'),
  ({'x': _VECTORS, 'condition': np.arange(20)}, 'Its test part has a '
   'condition 19 that no example that trains has'),
  *(({'x': _VECTORS, 'x_test': _VECTORS, **conditions},
     'Its condition and condition_test do not go together')
    for conditions in (
      {'condition': _NUMBERS, 'condition_test': _NUMBERS[:, :1]},
      {'condition': _NUMBERS, 'condition_test': _LABELS},
      {'condition': _LABELS, 'condition_test': _NUMBERS[:, 0]})),
  ({'x': _VECTORS, 'x_test': _VECTORS, 'condition': _NUMBERS,
    'condition_test': _NUMBERS * np.nan}, 'Its condition_test is float64'),
  ({'x': _VECTORS, 'x_test': _VECTORS, 'condition': _LABELS,
    'condition_test': _LABELS + 1}, 'Its test part has a condition 3 that no '
   'example that trains has'),
  ({'x': _VECTORS, 'x_test': _VECTORS, 'condition': _NUMBERS},
   'It has x_test, and no condition_test'),
  ({'x': _VECTORS, 'condition': np.where(_LABELS == 2, 2**33, _LABELS)},
   'Its condition has a label 8589934592: labels are whole numbers below'),
])
def test_bad_conditions(tmp_path, arrays, message):
  path = _save(tmp_path, **arrays)
  splits.check_refused(_open, 'array', path, message)
  # They do not keep a model without a condition from its data.
  assert array_file.open_file(path).event_shape == (2,)
