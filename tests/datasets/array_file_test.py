"""Arrays of the reader's own, and what is said of bad ones."""

import numpy as np
import pytest

from tests import splits
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.datasets import array_file

_RNG = np.random.default_rng(0)
_IMAGES = _RNG.integers(0, 256, [20, 4, 6, 3], dtype=np.uint8)
_VECTORS = _RNG.normal([0.0, 7.0], [1.0, 3.0], [20, 2])
_LABELS = np.arange(20) % 3
_NUMBERS = _RNG.normal([-5.0, 0.1], [2.0, 3.0], [20, 2])


def _load(path, split, **arguments):
  return datasets.load(f'array:{path}', split, **arguments)


def _save(tmp_path, **arrays):
  path = str(tmp_path / 'own.npz')
  np.savez(path, **arrays)
  return path


def test_images_and_labels(tmp_path):
  path = _save(tmp_path, x=_IMAGES, label=_LABELS)
  info = datasets.info(f'array:{path}')
  assert (info.model, info.event_shape) == ('image', (4, 6, 3))
  assert (info.num_levels, info.num_classes) == (256, 3)
  parts = [_load(path, split).arrays for split in ('train', 'test')]
  assert [len(part['x']) for part in parts] == [16, 4]
  for image, label in zip(
    np.concatenate([part['x'] for part in parts]),
    np.concatenate([part['label'] for part in parts]), strict=True,
  ):
    (place,) = np.flatnonzero((_IMAGES == image).all(axis=(1, 2, 3)))
    assert label == _LABELS[place]
  few = _load(path, 'test', num_bits=3, resize=2).arrays['x'].numpy()
  assert few.shape == (4, 2, 2, 3) and few.max() < 8


def test_a_test_part_of_the_file(tmp_path):
  path = _save(
    tmp_path, x=_VECTORS[:15], x_test=_VECTORS[15:], label=_LABELS[:15],
    label_test=_LABELS[15:],
  )
  test = _load(path, 'test').arrays
  assert set(_load(path, 'train').arrays['label'].numpy()) == {0, 1, 2}
  assert set(_load(path, 'validation', num_validation=6).arrays[
    'label'].numpy()) == {0, 1, 2}
  np.testing.assert_array_equal(test['x'], _VECTORS[15:].astype(np.float32))
  np.testing.assert_array_equal(test['label'], _LABELS[15:])
  info = datasets.info(f'array:{path}')
  np.testing.assert_allclose(info.mean, _VECTORS[:15].mean(axis=0))
  np.testing.assert_allclose(info.std, _VECTORS[:15].std(axis=0))


def test_a_plain_array(tmp_path):
  path = str(tmp_path / 'own.npy')
  np.save(path, _VECTORS.astype(np.float32))
  info = datasets.info(f'array:{path}')
  assert (info.model, info.event_size, info.columns) == ('vector', 2, ())
  assert set(_load(path, 'train').arrays['label'].numpy()) == {-1}


def test_other_conditions_are_other_data(tmp_path):
  found = {
    array_file.open_file(_save(tmp_path, x=_VECTORS, **others)).fingerprint
    for others in (
      {}, {'condition': _NUMBERS}, {'condition': _NUMBERS[::-1]},
      {'label': _LABELS}, {'condition': _LABELS})
  }
  assert len(found) == 5


@pytest.mark.parametrize('arrays, message', [
  ({'y': _VECTORS}, 'Its arrays are y'),
  ({'x': _VECTORS.astype(int)}, r'Its x is int64 \[20, 2\]'),
  ({'x': _IMAGES[..., :2]}, r'Its x is uint8 \[20, 4, 6, 2\]'),
  ({'x': _VECTORS[:0]}, r'Its x is float64 \[0, 2\]'),
  ({'x': _VECTORS[:9]}, 'It has 9 examples; a held-out part needs 10'),
  ({'x': np.where(_VECTORS == _VECTORS[5, 1], np.nan, _VECTORS)},
   'Its x holds 1 numbers that are not finite, the first in row 5'),
  ({'x': np.full([20, 2], 0.1)}, 'Column 0 of x has the value 0.1 in all rows'),
  ({'x': _VECTORS + [0.0, 1e9]}, 'Column 1 of x varies by .* Subtract a const'),
  ({'x': _VECTORS * 1e39}, 'Column 0 of x reaches .*, beyond what float32'),
  ({'x': _VECTORS, 'x_test': _VECTORS[:1]}, 'Its x_test has one example'),
  ({'x': _VECTORS, 'label': _LABELS, 'x_test': _VECTORS},
   'label and label_test go together'),
  ({'x': _VECTORS, 'label_test': _LABELS, 'x_test': _VECTORS},
   'label and label_test go together'),
  ({'x': _VECTORS, 'label': _LABELS, 'x_test': _VECTORS,
    'label_test': _LABELS + 1}, 'Its label_test has a class that label lacks'),
  ({'x': _VECTORS, 'label': _LABELS[:3]}, r'The labels of x are int64 \[3\]'),
  ({'x': _VECTORS, 'label': _LABELS - 1}, 'The labels of x are int64'),
  ({'x': _VECTORS, 'x_test': _IMAGES}, r'Its x is float64 \[20, 2\] and x_test '
   r'uint8 \[20, 4, 6, 3\]'),
])
def test_bad_arrays(tmp_path, arrays, message):
  path = _save(tmp_path, **arrays)
  splits.check_refused(array_file.open_file, 'array', path, message)


def test_no_file_and_other_files(tmp_path):
  with pytest.raises(errors.InvalidValueError, match='There is no such file'):
    array_file.open_file(str(tmp_path / 'none.npz'))
  text = tmp_path / 'text.npz'
  text.write_text('x = 3')
  with pytest.raises(errors.InvalidValueError, match='It cannot be read'):
    array_file.open_file(str(text))
  np.savez_compressed(text, x=_VECTORS)
  data = bytearray(text.read_bytes())
  data[60:120] = bytes(60)
  text.write_bytes(bytes(data))
  with pytest.raises(errors.InvalidValueError, match='It cannot be read'):
    array_file.open_file(str(text))
