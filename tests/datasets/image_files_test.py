"""The array files of ImageNet at 32 and 64 pixels, small ones of their layout.
"""

import dataclasses

import numpy as np
import pytest

from tests import testing
from tf_resflow import datasets
from tf_resflow.specs import registries

_RNG = np.random.default_rng(0)


def _images(num, size):
  return _RNG.integers(0, 256, [num, size, size, 3], dtype=np.uint8)


def _shrink(monkeypatch, name, num_train, num_test):
  info = dataclasses.replace(
    datasets.info(name), num_train=num_train, num_test=num_test)
  monkeypatch.setitem(registries.DATASETS._entries, name, info)


@pytest.mark.parametrize('size, channels_first', [(32, True), (64, False)])
def test_the_version_of_van_den_oord(
  monkeypatch, tmp_path, size, channels_first):
  name = f'downsampled_imagenet/{size}x{size}'
  _shrink(monkeypatch, name, 9, 4)
  stored = {'train': _images(9, size), 'valid': _images(4, size)}
  for part, images in stored.items():
    np.save(tmp_path / f'{part}_{size}x{size}.npy',
            np.moveaxis(images, 3, 1) if channels_first else images)
  train, validation, test = (
    datasets.load(name, split, data_dir=tmp_path, num_validation=2).arrays
    for split in ('train', 'validation', 'test'))
  np.testing.assert_array_equal(
    np.concatenate([train['x'], validation['x']]), stored['train'])
  np.testing.assert_array_equal(test['x'], stored['valid'])
  assert set(test['label'].numpy()) == {-1}


def test_the_version_of_chrabaszcz(monkeypatch, tmp_path):
  name, size = 'imagenet_resized/32x32', 32
  _shrink(monkeypatch, name, 22, 3)
  images, labels = _images(25, size), _RNG.integers(1, 1001, [25])
  # Eleven files, of which the tenth comes behind the ninth.
  for i, part in enumerate(np.split(np.arange(22), 11), 1):
    np.savez_compressed(
      tmp_path / f'train_data_batch_{i}.npz', labels=labels[part],
      data=np.moveaxis(images[part], 3, 1).reshape([len(part), -1]))
  np.savez(tmp_path / 'val_data.npz', labels=labels[22:],
           data=np.moveaxis(images[22:], 3, 1).reshape([3, -1]))
  train = datasets.load(name, 'train', data_dir=tmp_path).arrays
  test = datasets.load(name, 'test', data_dir=tmp_path, num_bits=5).arrays
  np.testing.assert_array_equal(train['x'], images[:22])
  np.testing.assert_array_equal(train['label'], labels[:22] - 1)
  np.testing.assert_array_equal(test['x'], images[22:] // 8)


def test_missing_files_get_instructions(tmp_path):
  for name, files in (
    ('downsampled_imagenet/32x32', 'train_32x32.npy, valid_32x32.npy'),
    ('imagenet_resized/64x64', 'train_data_batch_*.npz, val_data.npz')):
    with pytest.raises(datasets.DatasetNotFoundError) as error:
      datasets.load(name, 'train', data_dir=tmp_path)
    text = str(error.value)
    assert f'Or put its files there: {files} (see http' in text
    assert f'tfds build {name}' in text and '\n' not in text


def test_missing_images_and_other_arrays(tmp_path):
  name = 'downsampled_imagenet/32x32'
  path = tmp_path / 'train_32x32.npy'

  def load(array):
    np.save(path, array) if array is not None else path.write_bytes(b'text')
    datasets.load(name, 'train', data_dir=tmp_path)

  testing.check_refusals(load, [
    (_images(9, 32), f'data_dir={tmp_path}: expected 1281149 examples'),
    (_images(9, 16), f'file={path}: ...Its array is [9, 16, 16'),
    (_images(9, 32) / 255, f'file={path}: ...Its array is float64'),
    (None, f'file={path}: ...It cannot be read')])
