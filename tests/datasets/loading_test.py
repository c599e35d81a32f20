"""Tests of loading: sizes, pixels, parts, bits, conditions, and error lines."""

import dataclasses

import numpy as np
import tensorflow as tf

from tests import testing
from tf_resflow import datasets

_ROWS = np.random.default_rng(1).normal(size=[9, 2])
_GREY = datasets.ImageInfo(
  name='grey', image_shape=(2, 4, 3), num_levels=4, num_classes=6)
_VECTORS = datasets.VectorInfo(name='rows', event_size=2)


def test_bad_arguments():
  start = {'split': 'train', 'name': 'digits'}
  testing.check_refusals(lambda given: datasets.open_split(**start | given), [
    ({'name': 'nist'}, 'dataset=nist: expected one of digits'),
    ({'split': 'dev'}, 'split=dev: expected one of train, validation, test'),
    ({'split': 'validation'}, 'split=validation requires num_validation'),
    ({'num_validation': 1437}, 'num_validation=1437: expected fewer than the')])


def test_bad_arrays_of_the_user():

  def open_info(info, x, labels=None):
    dataclasses.replace(info, load_fn=lambda _: (x, labels)).open('train')

  zeros = np.zeros([6, 2, 4, 3], np.uint8)
  testing.check_refusals(lambda case: open_info(*case), [
    ((_GREY, zeros[..., 0]), 'images=uint8 [6, 2, 4]: expected'),
    ((_GREY, zeros.astype(np.float32)), 'images=float32'),
    ((_GREY, zeros + np.uint8(4)), 'images=4: expected levels below'),
    ((_GREY, zeros, [1]), 'labels=1: expected 6 labels'),
    ((_VECTORS, _ROWS[:, :1]),
     'x=float64 [9, 1]: expected finite floats [N, 2]'),
    ((_VECTORS, _ROWS.astype(int)), 'x=int64 [9, 2]'),
    ((_VECTORS, np.array([[1.0, 2.0], [3.0, np.inf]])),
     f'dataset={_VECTORS.name}: expected finite numbers from its load_fn. Its '
     'train part has 1 values that are not finite, the first in row 1, column '
     '1 (inf).'),
    ((_VECTORS, _ROWS, np.arange(3)), 'labels=3: expected 9 labels from')])


def test_bits_and_sizes():
  """An average of whole blocks; the order with bits is resize, then reduce."""
  images = np.random.default_rng(0).integers(
    0, 256, [20, 28, 28, 1], dtype=np.uint8)
  info = datasets.ImageInfo(
    name='noise', image_shape=(28, 28, 1), load_fn=lambda part: (images, None))

  def load(**changes):
    return info.changed(**changes).open('test')

  full, half = load(), load(resize=14)
  for num_bits in (1, 5):
    less = load(num_bits=num_bits)
    assert less.num_levels == 2**num_bits
    np.testing.assert_array_equal(
      less.arrays['x'], full.arrays['x'].numpy() // 2**(8 - num_bits))
  assert half.event_shape == (14, 14, 1)
  small = half.arrays['x'].numpy().astype(np.float64)
  large = full.arrays['x'].numpy().astype(np.float64)
  # A triangle over four pixels: weights 1, 3, 3, 1 in each direction.
  row = (large[:, 2:26:2] * 3 + large[:, 1:25:2] + 3 * large[:, 3:27:2] +
         large[:, 4:28:2]) / 8
  block = (row[:, :, 2:26:2] * 3 + row[:, :, 1:25:2] + 3 * row[:, :, 3:27:2] +
           row[:, :, 4:28:2]) / 8
  assert np.abs(small[:, 1:13, 1:13] - block).max() <= 0.5 + 1e-4
  np.testing.assert_array_equal(
    load(resize=14, num_bits=3).arrays['x'], small // 32)


def test_drawn_parts_are_streams_of_their_own():
  info = datasets.DrawnInfo(
    name='cube', event_size=3, num_test=40, num_train=50,
    draw_fn=lambda key: tf.random.stateless_uniform([3], key, alg='philox'))
  parts = {
    name: info.open(name, None, 10).arrays['x'].numpy()
    for name in ('train', 'validation', 'test')}
  assert [len(part) for part in parts.values()] == [50, 10, 40]
  assert len(np.unique(np.concatenate(list(parts.values())))) == 300
  assert info.open('train').draw_fn is info.draw_fn
