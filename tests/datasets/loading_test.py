"""Tests of loading: sizes, pixels, parts, bits, conditions, and error lines."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.configuration import registries
from tf_resflow.datasets import dataset_info

_RNG = np.random.default_rng(1)
_IMAGES = _RNG.integers(0, 4, [9, 2, 4, 3], dtype=np.uint8)
_ROWS = _RNG.normal(size=[9, 2])


def _info(info_class, x, **facts):
  """Returns facts about data of the reader's own; those of tests lack labels.
  """
  parts = {'train': (x[:6], np.arange(6)), 'test': (x[6:], None)}
  return info_class(load_fn=parts.get, **facts)


_GREY = _info(datasets.ImageInfo, _IMAGES, name='grey', image_shape=(2, 4, 3),
              num_levels=4, num_classes=6)
_VECTORS = _info(datasets.VectorInfo, _ROWS, name='rows', event_size=2)


def _parts(info):
  return [info.open(name, None, 2) for name in ('train', 'validation', 'test')]


def _all(parts, key):
  return np.concatenate([part.arrays[key].numpy() for part in parts])


def test_validation_is_the_end_of_the_training_part(embedded_dir):
  def read(split, num_validation):
    return splits.read(datasets.load(
      'digits', split, data_dir=embedded_dir, num_validation=num_validation))

  images, labels = read('train', 0)
  train_images, train_labels = read('train', 100)
  held_images, held_labels = read('validation', 100)
  assert (len(train_images), len(held_images)) == (1337, 100)
  np.testing.assert_array_equal(
    np.concatenate([train_images, held_images]), images)
  np.testing.assert_array_equal(
    np.concatenate([train_labels, held_labels]), labels)
  np.testing.assert_array_equal(read('test', 100)[0], read('test', 0)[0])


@pytest.mark.parametrize('name, split, arguments, message', [
  ('nist', 'train', {}, 'dataset=nist: expected one of digits'),
  ('digits', 'dev', {}, 'split=dev: expected one of train, validation, test'),
  ('digits', 'validation', {}, 'where num_validation is 0'),
  ('digits', 'train', {'num_validation': 1437}, 'fewer than the 1437'),
  ('digits', 'train', {'num_validation': -1}, 'a whole number from 0'),
  ('digits', 'train', {'num_bits': 5}, 'expected 8, since digits has 17'),
  ('digits', 'train', {'condition': ('a',)}, '^condition=a: expected label')])
def test_bad_arguments(name, split, arguments, message, embedded_dir):
  with pytest.raises(ValueError, match=message) as error:
    datasets.load(name, split, data_dir=embedded_dir, **arguments)
  splits.one_line(error)


def test_load_split(embedded_dir):
  config = configuration.make_config(
    dataset='mnist5k', data_dir=str(embedded_dir), num_bits=5, resize=14,
    num_validation=7, num_blocks=(1, 1))
  split = datasets.load_split(config.data, 'validation')
  assert split.num_examples == 7
  assert split.event_shape == config.model.image_shape == (14, 14, 1)
  assert split.num_levels == config.model.num_levels == 32
  with pytest.raises(datasets.DatasetNotFoundError):
    datasets.load_split(config.data, 'train', '/dev/null')


@pytest.mark.parametrize('info, x', [(_GREY, _IMAGES), (_VECTORS, _ROWS)])
def test_arrays_of_the_reader(info, x, monkeypatch):
  monkeypatch.setitem(registries.DATASETS._entries, info.name, info)
  assert info.name in datasets.names()
  parts = [datasets.load(info.name, split, num_validation=2)
           for split in ('train', 'validation', 'test')]
  assert [part.num_examples for part in parts] == [4, 2, 3]
  assert parts[0].event_shape == info.event_shape
  assert {part.num_levels for part in parts} == {info.num_levels}
  np.testing.assert_array_equal(
    _all(parts, 'x'), x if info is _GREY else x.astype(np.float32))
  assert _all(parts, 'label').tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1]


@pytest.mark.parametrize('info, conditions, changes', [
  (_GREY, _RNG.normal(size=[9, 2]), {}),
  # Also of images that are made of others.
  (_GREY, np.arange(9) % 4, {'resize': 4}),
  (_VECTORS, _RNG.normal(size=[9, 2]), {}),
  (_VECTORS, np.arange(9) % 4, {})])
def test_conditions_of_arrays_of_the_reader(info, conditions, changes):
  given = {'train': conditions[:6], 'test': conditions[6:]}
  entry = {'num_labels': 4} if conditions.ndim == 1 else {'size': 2}
  plain = dataclasses.replace(
    info, entry_fn=lambda: (dataset_info.ConditionInfo(**entry), given)
  ).changed(**changes)
  found, others = _parts(plain.conditioned(['condition'])), _parts(plain)
  assert all(part.is_conditional for part in found)
  assert not any(part.is_conditional for part in others)
  assert found[0].num_condition_labels == entry.get('num_labels', 0)
  np.testing.assert_array_equal(_all(found, 'x'), _all(others, 'x'))
  dtype = np.int32 if conditions.ndim == 1 else np.float32
  condition = _all(found, 'condition')
  np.testing.assert_array_equal(condition, conditions.astype(dtype))
  assert condition.dtype == dtype


def test_labels_of_vectors_are_conditions():
  info = datasets.VectorInfo(
    name='two', event_size=2, num_classes=3, load_fn=lambda part: (
      np.arange(12.0).reshape([6, 2]), np.arange(6) % 3))
  given = info.conditioned(['label'])
  assert given.condition_facts()['condition_labels'] == 3
  split = given.open('train', None, 0)
  assert split.arrays['condition'].numpy().tolist() == [0, 1, 2, 0, 1, 2]
  assert split.num_condition_labels == 3


@pytest.mark.parametrize('info, x, labels, message', [
  (_GREY, np.zeros([6, 2, 4], np.uint8), None,
   r'images=uint8 \[6, 2, 4\]: expected'),
  (_GREY, np.zeros([6, 2, 4, 3], np.float32), None, 'images=float32'),
  (_GREY, np.full([6, 2, 4, 3], 4, np.uint8), None,
   'images=4: expected levels below'),
  (_GREY, np.zeros([6, 2, 4, 3], np.uint8), [1], 'labels=1: expected 6 labels'),
  (_VECTORS, _ROWS[:, :1], None,
   r'x=float64 \[9, 1\]: expected finite floats \[N, 2\]'),
  (_VECTORS, _ROWS.astype(int), None, r'x=int64 \[9, 2\]'),
  (_VECTORS, np.full([3, 2], np.nan), None, 'expected finite floats'),
  (_VECTORS, _ROWS, np.arange(3), 'labels=3: expected 9 labels of load_fn of '
   'rows')])
def test_bad_arrays_of_the_reader(info, x, labels, message):
  info = dataclasses.replace(info, load_fn=lambda _: (x, labels))
  with pytest.raises(errors.InvalidValueError, match=message):
    info.open('train')


@pytest.mark.parametrize('num_bits', [1, 5, 8])
def test_num_bits(num_bits, embedded_dir):
  full = datasets.load('mnist5k', 'test', data_dir=embedded_dir)
  less = datasets.load(
    'mnist5k', 'test', data_dir=embedded_dir, num_bits=num_bits)
  assert less.num_levels == 2**num_bits
  np.testing.assert_array_equal(
    less.arrays['x'], full.arrays['x'].numpy() // 2**(8 - num_bits))


def test_resize(embedded_dir):
  """An average of whole blocks; the order with bits is resize, then reduce."""
  full = datasets.load('mnist5k', 'test', data_dir=embedded_dir)
  half = datasets.load('mnist5k', 'test', data_dir=embedded_dir, resize=14)
  assert half.event_shape == (14, 14, 1)
  small = half.arrays['x'].numpy().astype(np.float64)
  large = full.arrays['x'].numpy().astype(np.float64)
  # A triangle over four pixels: weights 1, 3, 3, 1 in each direction.
  row = (large[:, 2:26:2] * 3 + large[:, 1:25:2] + 3 * large[:, 3:27:2] +
         large[:, 4:28:2]) / 8
  block = (row[:, :, 2:26:2] * 3 + row[:, :, 1:25:2] + 3 * row[:, :, 3:27:2] +
           row[:, :, 4:28:2]) / 8
  assert np.abs(small[:, 1:13, 1:13] - block).max() <= 0.5 + 1e-4
  reduced = datasets.load(
    'mnist5k', 'test', data_dir=embedded_dir, resize=14, num_bits=3)
  np.testing.assert_array_equal(reduced.arrays['x'], small // 32)


def _uniform(size, dtype=tf.float32):
  return lambda key: tf.cast(
    tf.random.stateless_uniform([size], key, alg='philox'), dtype)


def test_drawn_parts_are_streams_of_their_own():
  info = datasets.DrawnInfo(
    name='cube', event_size=3, num_test=40, num_train=50, draw_fn=_uniform(3))
  parts = {
    name: info.open(name, None, 10).arrays['x'].numpy()
    for name in ('train', 'validation', 'test')}
  assert [len(part) for part in parts.values()] == [50, 10, 40]
  assert len(np.unique(np.concatenate(list(parts.values())))) == 300
  assert info.open('train').draw_fn is info.draw_fn


@pytest.mark.parametrize('draw_fn, given', [
  (_uniform(2), r'float32 \(2,\)'), (_uniform(3, tf.float64), r'float64 \(3,\)')
])
def test_a_draw_of_another_shape_or_dtype_is_refused(draw_fn, given):
  info = datasets.DrawnInfo(name='odd', event_size=3, draw_fn=draw_fn)
  with pytest.raises(
    errors.InvalidValueError,
    match=rf'x={given}: expected float32 \[3\] of draw_fn of odd'):
    info.open('test')
