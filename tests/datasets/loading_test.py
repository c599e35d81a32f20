"""Tests of loading: sizes, pixels, parts, bits, and every error line.

Not tested here: real downloads. Their code path runs on generated stand-ins
and on a small set written to disk in their name.
"""

import dataclasses
import socket

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow.configuration import registries
from tf_resflow.datasets import digits

_DOWNLOADED = (
  'mnist', 'cifar10', 'svhn_cropped', 'downsampled_imagenet/32x32',
  'downsampled_imagenet/64x64', 'celeb_a_hq/64', 'celeb_a_hq/256',
)


def _arrays(split):
  """Returns images and labels read from `examples`, one by one."""
  rows = list(split.examples.as_numpy_iterator())
  images = np.stack([row['image'] for row in rows])
  return images, np.stack([row['label'] for row in rows])


def _one_line(error_info):
  text = str(error_info.value)
  assert '\n' not in text
  return text


def test_embedded_preparation_is_silent_and_offline(
  tmp_path, monkeypatch, capfd
):
  def refuse(*args, **kwargs):
    raise AssertionError('tried to reach the network')

  monkeypatch.setattr(socket.socket, 'connect', refuse)
  monkeypatch.setattr(socket, 'getaddrinfo', refuse)
  loaded = datasets.load('digits', 'train', data_dir=tmp_path / 'new')
  assert loaded.num_examples == 1437
  assert (tmp_path / 'new' / 'digits').is_dir()
  out, err = capfd.readouterr()
  assert 'digits' not in out + err


def test_validation_is_the_end_of_the_training_part(embedded_dir):
  def read(split, num_validation):
    return _arrays(datasets.load(
      'digits', split, data_dir=embedded_dir, num_validation=num_validation
    ))

  images, labels = read('train', 0)
  train_images, train_labels = read('train', 100)
  held_images, held_labels = read('validation', 100)
  assert len(train_images) == 1337
  assert len(held_images) == 100
  np.testing.assert_array_equal(
    np.concatenate([train_images, held_images]), images
  )
  np.testing.assert_array_equal(
    np.concatenate([train_labels, held_labels]), labels
  )
  np.testing.assert_array_equal(read('test', 100)[0], read('test', 0)[0])
  sizes = {
    split: datasets.load(
      'digits', split, data_dir=embedded_dir, num_validation=100
    ).num_examples
    for split in ('train', 'validation', 'test')
  }
  assert sizes == {'train': 1337, 'validation': 100, 'test': 360}


@pytest.mark.parametrize('num_bits', [1, 5, 7, 8])
def test_num_bits(num_bits, embedded_dir):
  full = datasets.load('mnist5k', 'test', data_dir=embedded_dir)
  less = datasets.load(
    'mnist5k', 'test', data_dir=embedded_dir, num_bits=num_bits
  )
  assert less.num_levels == 2**num_bits
  np.testing.assert_array_equal(
    less.arrays['image'], full.arrays['image'].numpy() // 2**(8 - num_bits)
  )


def test_images_at_places(embedded_dir):
  split = datasets.load('digits', 'test', data_dir=embedded_dir)
  images, _ = _arrays(split)
  found = split.images_at([7, 0, 359, 7])
  assert found.dtype == np.uint8
  np.testing.assert_array_equal(found, images[[7, 0, 359, 7]])
  for place in (-1, 360):
    with pytest.raises(ValueError, match=f'position={place}: expected one of'):
      split.images_at([0, place])


def test_arrays_are_the_examples_also_inside_a_function(embedded_dir):
  split = datasets.load('digits', 'test', data_dir=embedded_dir)

  @tf.function
  def total():
    return tf.reduce_sum(tf.cast(split.arrays['image'], tf.int32))

  images, labels = _arrays(split)
  assert total().numpy() == images.sum()
  np.testing.assert_array_equal(split.arrays['image'], images)
  np.testing.assert_array_equal(split.arrays['label'], labels)


@pytest.mark.parametrize('name', _DOWNLOADED)
@pytest.mark.parametrize('split, num_examples', [
  ('train', 5), ('validation', 2), ('test', 7),
])
def test_downloaded_sets_on_stand_ins(name, split, num_examples):
  with tfds.testing.mock_data(
    num_examples=7, policy=tfds.testing.MockPolicy.USE_CODE
  ):
    size = datasets.info(name).image_shape[0]
    loaded = datasets.load(
      # The stand-ins of ImageNet have sizes of all kinds.
      name, split, num_bits=5, num_validation=2, resize=size
    )
    images, labels = _arrays(loaded)
  assert loaded.num_examples == len(images) == len(labels) == num_examples
  assert loaded.num_levels == 32
  assert images.shape[1:] == datasets.info(name).image_shape
  assert images.dtype == np.uint8
  assert 0 < images.max() < 32
  num_classes = datasets.info(name).num_classes
  assert set(labels) <= (set(range(num_classes)) if num_classes else {-1})


@pytest.fixture(name='small_mnist')
def _small_mnist(tmp_path):
  """Writes 12 and 4 images to disk under the name of MNIST."""
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
  return tmp_path, images


def test_downloaded_set_from_disk(small_mnist, monkeypatch):
  folder, images = small_mnist
  facts = dataclasses.replace(datasets.info('mnist'), num_train=12, num_test=4)
  monkeypatch.setitem(registries.DATASETS._entries, 'mnist', facts)
  parts = {
    split: _arrays(datasets.load(
      'mnist', split, data_dir=folder, num_validation=3
    ))[0]
    for split in ('train', 'validation', 'test')
  }
  assert [len(part) for part in parts.values()] == [9, 3, 4]
  got = np.concatenate(list(parts.values()))
  # tfds permutes what it stores, so compare as sets of images.
  assert {row.tobytes() for row in got} == {row.tobytes() for row in images}


def test_incomplete_data_are_refused(small_mnist):
  folder, _ = small_mnist
  message = 'expected 60000 examples .* not 12'
  with pytest.raises(ValueError, match=message) as error:
    datasets.load('mnist', 'train', data_dir=folder)
  assert str(folder) in _one_line(error)


@pytest.mark.parametrize('name', _DOWNLOADED)
def test_missing_folder(name, tmp_path):
  folder = tmp_path / 'absent'
  with pytest.raises(datasets.DatasetNotFoundError) as error:
    datasets.load(name, 'train', data_dir=folder)
  text = _one_line(error)
  assert f'data_dir={folder}: ' in text and 'no such folder' in text
  assert f'tfds build {name} --data_dir {folder}' in text
  assert not folder.exists()


@pytest.mark.parametrize('name', _DOWNLOADED)
def test_folder_without_prepared_data(name, tmp_path):
  with pytest.raises(datasets.DatasetNotFoundError) as error:
    datasets.load(name, 'train', data_dir=tmp_path)
  text = _one_line(error)
  assert f'nothing is in {tmp_path / name}' in text
  assert f'tfds build {name} --data_dir {tmp_path}' in text


def test_failing_download(monkeypatch):
  def fail(self):
    raise ConnectionError('no route\nto host')

  monkeypatch.setattr(
    tfds.core.DatasetBuilder, 'is_prepared', lambda self: False
  )
  monkeypatch.setattr(tfds.core.DatasetBuilder, 'download_and_prepare', fail)
  with pytest.raises(datasets.DatasetNotFoundError) as error:
    datasets.load('cifar10', 'train')
  text = _one_line(error)
  assert 'ConnectionError: no route to host' in text
  assert 'tfds build cifar10 --data_dir DIR' in text
  # A reader shall not see a trace through tfds.
  assert error.value.__suppress_context__


def test_folder_that_cannot_be_written(tmp_path):
  blocker = tmp_path / 'file'
  blocker.write_text('')
  with pytest.raises(datasets.DatasetNotFoundError) as error:
    datasets.load('digits', 'train', data_dir=blocker / 'below')
  assert 'Give a folder that can be written to.' in _one_line(error)


def test_two_processes_may_prepare_at_once(tmp_path, monkeypatch):
  prepare = digits.Digits.download_and_prepare

  def lose_the_race(self):
    prepare(self)
    raise OSError('directory not empty')

  monkeypatch.setattr(digits.Digits, 'download_and_prepare', lose_the_race)
  loaded = datasets.load('digits', 'train', data_dir=tmp_path)
  assert loaded.num_examples == 1437


@pytest.mark.parametrize('name, split, arguments, message', [
  ('nist', 'train', {}, 'dataset=nist: expected one of digits'),
  ('digits', 'dev', {}, 'split=dev: expected one of train, validation, test'),
  ('digits', 'validation', {}, 'where num_validation is 0'),
  ('digits', 'train', {'num_validation': 1437}, 'fewer than the 1437'),
  ('digits', 'train', {'num_validation': -1}, 'a whole number from 0'),
  ('digits', 'train', {'num_bits': 5}, 'expected 8, since digits has 17'),
  ('mnist5k', 'train', {'num_bits': 0}, 'num_bits=0: expected 1 to 8'),
  ('mnist5k', 'train', {'num_bits': 9}, 'num_bits=9: expected 1 to 8'),
  ('mnist5k', 'train', {'resize': 0}, 'resize=0: expected a whole number'),
])
def test_bad_arguments(name, split, arguments, message, embedded_dir):
  with pytest.raises(ValueError, match=message) as error:
    datasets.load(name, split, data_dir=embedded_dir, **arguments)
  _one_line(error)


def test_load_split(embedded_dir):
  config = configuration.make_config(
    dataset='mnist5k', data_dir=str(embedded_dir), num_bits=5, resize=14,
    num_validation=7, num_blocks=(1, 1),
  )
  split = datasets.load_split(config.data, 'validation')
  assert split.num_examples == 7
  assert split.image_shape == config.model.image_shape == (14, 14, 1)
  assert split.num_levels == config.model.num_levels == 32
  with pytest.raises(datasets.DatasetNotFoundError):
    datasets.load_split(config.data, 'train', '/dev/null')


@pytest.fixture(name='grey')
def _grey(monkeypatch):
  """Registers a data set of the reader's own."""
  rng = np.random.default_rng(1)
  images = rng.integers(0, 4, [9, 2, 4, 3], dtype=np.uint8)
  parts = {'train': (images[:6], np.arange(6)), 'test': (images[6:], None)}
  info = datasets.DatasetInfo(
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
  assert parts['train'].image_shape == (2, 4, 3)
  got = [_arrays(part) for part in parts.values()]
  np.testing.assert_array_equal(np.concatenate([x for x, _ in got]), images)
  assert np.concatenate([y for _, y in got]).tolist() == [
    0, 1, 2, 3, 4, 5, -1, -1, -1
  ]
  assert _arrays(datasets.load('grey', 'test', resize=4))[0].shape == (
    3, 4, 4, 3
  )


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


def test_resize(embedded_dir):
  """An average of whole blocks; the order with bits is resize, then reduce."""
  full = datasets.load('mnist5k', 'test', data_dir=embedded_dir)
  half = datasets.load('mnist5k', 'test', data_dir=embedded_dir, resize=14)
  assert half.image_shape == (14, 14, 1)
  small = half.arrays['image'].numpy().astype(np.float64)
  large = full.arrays['image'].numpy().astype(np.float64)
  # A triangle over four pixels: weights 1, 3, 3, 1 in each direction.
  row = (large[:, 2:26:2] * 3 + large[:, 1:25:2] + 3 * large[:, 3:27:2] +
         large[:, 4:28:2]) / 8
  block = (row[:, :, 2:26:2] * 3 + row[:, :, 1:25:2] + 3 * row[:, :, 3:27:2] +
           row[:, :, 4:28:2]) / 8
  assert np.abs(small[:, 1:13, 1:13] - block).max() <= 0.5 + 1e-4
  reduced = datasets.load(
    'mnist5k', 'test', data_dir=embedded_dir, resize=14, num_bits=3
  )
  np.testing.assert_array_equal(reduced.arrays['image'], small // 32)
