"""Images that tfds prepares, and the array files of ImageNet, small ones.

Sizes, parts, and every error line.

Not tested here: real downloads. Their code path runs on generated stand-ins
and on a small set written to disk in their name.
"""

import dataclasses
from unittest import mock

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow.specs import registries


@pytest.mark.parametrize('name, split, num_examples', [
  ('mnist', 'train', 5), ('mnist', 'validation', 2), ('mnist', 'test', 7),
  ('imagenet_resized/32x32', 'test', 7), ('celeb_a_hq/64', 'test', 7)])
def test_downloaded_sets_on_stand_ins(name, split, num_examples):
  with tfds.testing.mock_data(
    num_examples=7, policy=tfds.testing.MockPolicy.USE_CODE):
    size = datasets.info(name).image_shape[0]
    loaded = datasets.open_split(
      # The stand-ins of ImageNet have sizes of all sorts.
      name, split, num_bits=5, num_validation=2, resize=size)
    images, labels = splits.read(loaded)
  assert loaded.num_examples == len(images) == len(labels) == num_examples
  assert loaded.num_levels == 32
  assert images.shape[1:] == datasets.info(name).image_shape
  assert images.dtype == np.uint8
  assert 0 < images.max() < 32
  num_classes = datasets.info(name).num_classes
  assert set(labels) <= (set(range(num_classes)) if num_classes else {-1})


def test_downloaded_set_from_disk(tmp_path, monkeypatch):
  """A small one by the name of MNIST, which is refused as not complete."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, [16, 28, 28, 1], dtype=np.uint8)

  class SmallMnist(tfds.image_classification.MNIST, skip_registration=True):
    name = 'mnist'
    code_path = None

    def _split_generators(self, dl_manager):
      del dl_manager
      return {'train': self._rows(0, 12), 'test': self._rows(12, 16)}

    def _rows(self, start, stop):
      for i in range(start, stop):
        yield i, {'image': images[i], 'label': i % 10}

  SmallMnist(data_dir=str(tmp_path)).download_and_prepare()
  testing.check_refusals(
    lambda folder: datasets.open_split('mnist', 'train', data_dir=folder),
    [(tmp_path, f'data_dir={tmp_path}...: expected 60000 examples...not 12')])
  _shrink(monkeypatch, 'mnist', 12, 4)
  parts = [
    splits.read(datasets.open_split(
      'mnist', split, data_dir=tmp_path, num_validation=3))[0]
    for split in ('train', 'validation', 'test')]
  assert [len(part) for part in parts] == [9, 3, 4]
  got = np.concatenate(parts)
  # tfds permutes what it stores, so compare as sets of images.
  assert {row.tobytes() for row in got} == {row.tobytes() for row in images}


def test_folders_without_prepared_data(tmp_path):
  absent = tmp_path / 'absent'
  start = f'data_dir={tmp_path}: expected a folder with the prepared data set '
  build = f'Run `tfds build celeb_a_hq/64 --data_dir {tmp_path}`'
  testing.check_refusals(
    lambda case: datasets.open_split(case[0], 'train', data_dir=case[1]), [
      (('mnist', absent), f'data_dir={absent}: ...nothing is in ...tfds build '
       f'mnist --data_dir {absent}'),
      (('mnist', tmp_path), f'{start}mnist, but nothing is in {tmp_path}/mnist'
       f'...`tfds build mnist --data_dir {tmp_path}`'),
      (('celeb_a_hq/64', tmp_path), f'{start}celeb_a_hq/64, but nothing is in '
       f'{tmp_path}/celeb_a_hq/64...First put data64x64.tar (...{build}'),
      *(((name, tmp_path), f'...`tfds build {name} ...Or put its files there: '
         f'{files} (see http') for name, files in (
          ('downsampled_imagenet/32x32', 'train_32x32.npy, valid_32x32.npy'),
          ('imagenet_resized/64x64', 'train_data_batch_*.npz, val_data.npz')))
    ])
  assert not absent.exists()


def test_failing_download(monkeypatch):
  def fail(self):
    raise ConnectionError('no route\nto host')

  monkeypatch.setattr(
    tfds.core.DatasetBuilder, 'is_prepared', lambda self: False)
  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', fail)
  with pytest.raises(datasets.DatasetNotFoundError) as error:
    datasets.open_split('cifar10', 'train')
  text = str(error.value)
  assert 'ConnectionError: no route to host' in text and '\n' not in text
  assert 'tfds build cifar10 --data_dir DIR' in text
  # Users should not see a traceback through TFDS.
  assert error.value.__suppress_context__


def test_two_processes_may_prepare_at_once(monkeypatch):
  are_prepared = iter([False, True])
  with tfds.testing.mock_data(num_examples=7):
    monkeypatch.setattr(
      tfds.core.DatasetBuilder, 'is_prepared', lambda self: next(are_prepared))
    monkeypatch.setattr(
      tfds.core.DatasetBuilder, 'download_and_prepare',
      mock.Mock(side_effect=OSError('directory not empty')))
    assert datasets.open_split('mnist', 'test').num_examples == 7
  assert not list(are_prepared)


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
    datasets.open_split(name, split, data_dir=tmp_path, num_validation=2).arrays
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
  train = datasets.open_split(name, 'train', data_dir=tmp_path).arrays
  test = datasets.open_split(name, 'test', data_dir=tmp_path, num_bits=5).arrays
  np.testing.assert_array_equal(train['x'], images[:22])
  np.testing.assert_array_equal(train['label'], labels[:22] - 1)
  np.testing.assert_array_equal(test['x'], images[22:] // 8)


def test_missing_images_and_other_arrays(tmp_path):
  name = 'downsampled_imagenet/32x32'
  path = tmp_path / 'train_32x32.npy'

  def load(array):
    np.save(path, array) if array is not None else path.write_bytes(b'text')
    datasets.open_split(name, 'train', data_dir=tmp_path)

  testing.check_refusals(load, [
    (_images(9, 32), f'data_dir={tmp_path}: expected 1281149 examples'),
    (_images(9, 16), f'file={path}: ...Its array is uint8 [9, 16, 16'),
    (_images(9, 32) / 255, f'file={path}: ...Its array is float64'),
    (None, f'file={path}: ...It cannot be read')])
