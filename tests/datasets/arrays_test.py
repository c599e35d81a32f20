"""User-provided arrays, and errors of invalid ones."""

import os

import numpy as np
import pytest

from tests import testing
from tf_resflow import datasets
from tf_resflow.datasets import arrays

_RNG = np.random.default_rng(0)
_IMAGES = _RNG.integers(0, 256, [20, 4, 6, 3], dtype=np.uint8)
_VECTORS = _RNG.normal([0.0, 7.0], [1.0, 3.0], [20, 2])
_LABELS = np.arange(20) % 3
_NUMBERS = _RNG.normal([-5.0, 0.1], [2.0, 3.0], [20, 2])


def _load(path, split, **arguments):
  return datasets.open_split(f'array:{path}', split, **arguments)


def _save(tmp_path, **arrays):
  path = str(tmp_path / 'own.npz')
  np.savez(path, **arrays)
  return path


def _open(path):
  """Reads a file of which the conditions are wanted."""
  return arrays.open_array(path).with_condition(['condition'])


def test_images_and_labels(tmp_path):
  path = _save(tmp_path, x=_IMAGES, label=_LABELS)
  info = datasets.info(f'array:{path}')
  assert (info.model, info.event_shape) == ('image', (4, 6, 3))
  assert (info.num_levels, info.num_classes) == (256, 3)
  parts = [_load(path, split).arrays for split in ('train', 'test')]
  assert [len(part['x']) for part in parts] == [16, 4]
  for image, label in zip(
    np.concatenate([part['x'] for part in parts]),
    np.concatenate([part['label'] for part in parts]), strict=True):
    (place,) = np.flatnonzero((_IMAGES == image).all(axis=(1, 2, 3)))
    assert label == _LABELS[place]
  few = _load(path, 'test', num_bits=3, resize=2).arrays['x'].numpy()
  assert few.shape == (4, 2, 2, 3) and few.max() < 8


def test_arrays_of_a_program(tmp_path):
  """They are those of a file, but for their names."""
  rest = {'label': _LABELS, 'condition': _NUMBERS}
  cases = [
    (datasets.array(_IMAGES), {'x': _IMAGES}),
    (datasets.array(_IMAGES, labels=_LABELS), {'x': _IMAGES, 'label': _LABELS}),
    (datasets.array(_VECTORS, condition=_NUMBERS, name='mine'),
     {'x': _VECTORS, 'condition': _NUMBERS}),
    (datasets.array(
      _VECTORS[:12], test=_VECTORS[12:], labels=(_LABELS[:12], _LABELS[12:]),
      condition=(_NUMBERS[:12], _NUMBERS[12:])), {
        key + suffix: value[rows] for key, value in
        {'x': _VECTORS, **rest}.items() for suffix, rows in (
          ('', slice(12)), ('_test', slice(12, None)))})]
  for info, stored in cases:
    other = arrays.open_array(_save(tmp_path, **stored))
    if 'condition' in stored:
      other = other.with_condition(['condition'])
    assert info.name in ('array', 'mine')
    assert info.fingerprint == other.fingerprint
    assert info.condition_labels == other.condition_labels
    for part in ('train', 'test'):
      for a, b in zip(info.load_fn(part), other.load_fn(part), strict=True):
        np.testing.assert_array_equal(a, b)
  testing.check_refusals(lambda given: datasets.array(
      **given).with_validation(0), [
    (dict(x=_VECTORS, labels=_LABELS[1:]),
     'x=array: expected images or vectors. Its label of 20 examples is int64'),
    (dict(x=_VECTORS, test=_VECTORS, labels=_LABELS), '...With test, label is'),
    (dict(x=_VECTORS, column_types=['x2:log']), 'column_types=x2:log: expect')])


def test_a_test_part_of_the_file(tmp_path):
  path = _save(
    tmp_path, x=_VECTORS[:15], x_test=_VECTORS[15:], label=_LABELS[:15],
    label_test=_LABELS[15:])
  test = _load(path, 'test').arrays
  assert set(_load(path, 'train').arrays['label'].numpy()) == {0, 1, 2}
  assert set(_load(path, 'validation', num_validation=6).arrays[
    'label'].numpy()) == {0, 1, 2}
  np.testing.assert_array_equal(test['x'], _VECTORS[15:].astype(np.float32))
  np.testing.assert_array_equal(test['label'], _LABELS[15:])
  info = datasets.info(f'array:{path}').with_validation(0)
  mean, std = info.schema.moments('modelled')
  np.testing.assert_allclose(mean, _VECTORS[:15].mean(axis=0))
  np.testing.assert_allclose(std, _VECTORS[:15].std(axis=0))


def test_a_plain_array(tmp_path):
  path = str(tmp_path / 'own.npy')
  np.save(path, _VECTORS.astype(np.float32))
  info = datasets.info(f'array:{path}')
  assert (info.model, info.event_size, info.schema) == ('vector', 2, None)
  assert set(_load(path, 'train').arrays['label'].numpy()) == {-1}
  # The name of one array makes no difference.
  np.savez(str(tmp_path / 'one'), _VECTORS.astype(np.float32))
  other = datasets.info(f'array:{tmp_path}/one.npz')
  assert other.fingerprint == info.fingerprint
  # Nor are those of a test part that is not there.
  path = _save(tmp_path, x=_VECTORS, label_test=_LABELS)
  assert set(_load(path, 'test').arrays['label'].numpy()) == {-1}


def test_other_conditions_are_other_data(tmp_path):
  found = {
    arrays.open_array(
      _save(tmp_path, x=_VECTORS, **others)).fingerprint
    for others in (
      {}, {'condition': _NUMBERS}, {'condition': _NUMBERS[::-1]},
      {'label': _LABELS}, {'condition': _LABELS})}
  assert len(found) == 5


@pytest.mark.parametrize('x, condition, has_test', [
  (_VECTORS, _NUMBERS, False), (_VECTORS, _NUMBERS, True),
  (_IMAGES, _NUMBERS[:, 0].astype(np.float32), False),
  (_VECTORS, _LABELS, True), (_IMAGES, _LABELS.astype(np.uint8), False)])
def test_conditions(tmp_path, x, condition, has_test):
  """Every example has its own beside it, in every part."""
  path = _save(tmp_path, x=x, condition=condition)
  if has_test:
    path = _save(
      tmp_path, x=x[:15], x_test=x[15:], condition=condition[:15],
      condition_test=condition[15:].astype(
        np.uint8 if condition is _LABELS else np.float32))
  is_label = np.issubdtype(condition.dtype, np.integer)
  expected = condition if is_label else np.float32(condition).reshape([20, -1])
  x, places = x.astype(np.float32), []
  for split in ('train', 'validation', 'test'):
    part = _load(
      path, split, num_validation=5, condition_on=['condition']).arrays
    assert part['condition'].dtype == (np.int32 if is_label else np.float32)
    for row, found in zip(part['x'], part['condition'], strict=True):
      (place,) = np.flatnonzero(
        (x == row.numpy()).all(axis=tuple(range(1, x.ndim))))
      np.testing.assert_array_equal(found, expected[place])
      places.append(place)
  assert sorted(places) == list(range(20))
  assert not has_test or places[-5:] == list(range(15, 20))
  info = _open(path)
  assert info.condition_labels == 3 * is_label
  if has_test and not is_label:  # Of what trains alone.
    np.testing.assert_allclose(
      info.schema.moments('condition')[0], expected[:15].mean(axis=0),
      rtol=1e-5)
  # Without being asked for, they make no difference.
  assert set(_load(path, 'train').arrays) == {'x', 'label'}


def _check_refused(tmp_path, open_fn, cases):
  """Checks what is said of files of arrays."""
  testing.check_refusals(lambda arrays: open_fn(_save(tmp_path, **arrays)), [
    (arrays, f'dataset=array:{tmp_path}/own.npz: expected an...{message}')
    for arrays, message in cases])


def test_bad_arrays(tmp_path):
  own = {'x': _VECTORS, 'label': _LABELS}
  _check_refused(tmp_path, arrays.open_array, [
    ({'y': _VECTORS, 'z': _VECTORS}, 'It has no x, but y, z.'),
    ({'x': _VECTORS.astype(int)}, 'Its x of 20 examples is int64 [20, 2]'),
    ({'x': _IMAGES[..., :2]}, 'Its x of 20 examples is uint8 [20, 4, 6, 2]'),
    ({'x': _VECTORS[:0]}, 'Its x of 0 examples is float64 [0, 2]'),
    ({'x': _VECTORS[:9]}, 'It has 9 examples; at least 10 are required'),
    ({'x': np.where(_VECTORS == _VECTORS[5, 1], np.nan, _VECTORS)},
     'Its x has 1 values that are not finite, the first in row 5, column'),
    ({'x': np.full([20, 2], 0.1)},
     'Column 0 of x has the value 0.1 in all training rows'),
    ({'x': _VECTORS + [0.0, 1e9]}, 'Column 1 of x has ...subtract a constant'),
    ({'x': _VECTORS * 1e39}, 'Column 0 of x reaches ..., whose square float32'),
    ({'x': _VECTORS, 'x_test': _VECTORS[:1]}, 'Its x_test has one example'),
    ({**own, 'x_test': _VECTORS}, 'It has no label_test'),
    ({'x': _VECTORS, 'label_test': _LABELS, 'x_test': _VECTORS},
     'It has no label, but x, label_test, x_test.'),
    ({**own, 'x_test': _VECTORS, 'label_test': _LABELS + 1},
     'Its label_test has a class that label does not have'),
    ({**own, 'label': _LABELS[:3]}, 'Its label of 20 examples is int64 [3]'),
    ({**own, 'label': _LABELS - 1}, 'Its label of 20 examples is int64'),
    ({'x': _VECTORS, 'x_test': _IMAGES}, 'Its x is float64 [20, 2] and x_test '
     'uint8 [20, 4, 6, 3]')])


def test_bad_conditions(tmp_path):
  others = {'x': _VECTORS, 'x_test': _VECTORS, 'condition': _NUMBERS}
  _check_refused(tmp_path, _open, [
    *(({'x': _VECTORS, 'condition': condition}, message)
      for condition, message in (
        (_NUMBERS[:19], 'Its condition of 20 examples is float64 [19, 2]'),
        (_NUMBERS[..., None], 'Its condition of 20 examples is float64 [20, 2'),
        (_NUMBERS[0, 0], 'Its condition of 20 examples is float64 []'),
        (_NUMBERS > 0, 'Its condition of 20 examples is bool [20, 2]'),
        (_LABELS[:, None], 'Its condition of 20 examples is int64 [20, 1]'),
        (np.full([20], 0.5), 'Column 0 of condition has the value 0.5 in all'),
        (np.arange(20), 'Its test part has a condition 19 that the training'),
        (np.where(_LABELS == 2, 2**33, _LABELS), 'Its condition has a label '
         '8589934592; labels are below 100,000. Use floats'))),
    ({**others, 'condition_test': _NUMBERS[:, :1]},
     'Its condition is float64 [20, 2] and condition_test float64 [20, 1]'),
    (others, 'It has no condition_test')])
  # They do not keep a model without a condition from its data.
  path = _save(tmp_path, x=_VECTORS, condition=_NUMBERS[:19])
  assert arrays.open_array(path).event_shape == (2,)


@pytest.mark.reliability(promise='too-large')
def test_no_file_and_other_files(tmp_path):
  (tmp_path / 'text.npz').write_text('x = 3')
  os.mkfifo(tmp_path / 'pipe.npz')
  testing.check_refusals(arrays.open_array, [
    (f'{tmp_path}/none.npz', '...There is no such file'),
    (f'{tmp_path}/text.npz', '...It cannot be read'),
    (f'{tmp_path}/pipe.npz', '...It is a pipe or a device, not a file.'),
    ('https://host/x.npz', '...It is a URL; download the file first.')])
