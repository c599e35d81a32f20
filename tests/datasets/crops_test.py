"""Random crops against NumPy's padding, and the streams that hold them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.configuration import registries
from tf_resflow.datasets import crops

_SHAPE = (7, 5, 2)
_PADDING = 3
_NUM = 20
_MODES = pytest.mark.parametrize('mode', registries.CROP_MODES.names())


@pytest.fixture(scope='module')
def split():
  """Random images; each label is the position of its image."""
  rng = np.random.default_rng(0)
  images = rng.integers(1, 256, [_NUM, *_SHAPE], dtype=np.uint8)
  return splits.make_split(images, 256, np.arange(_NUM, dtype=np.int32))


def _elements(split, num_elements, *, batch_size=10, start_step=0, **changes):
  """Returns labels and images of the first elements of a stream."""
  batches = datasets.training_batches(
    split, batch_size=batch_size, start_step=start_step,
    **{'seed': 0, 'crop_padding': _PADDING, **changes})
  (row,) = batches.unbatch().batch(num_elements).take(1).as_numpy_iterator()
  return row['label'], row['x']


def _found(split, labels, images, mode, is_flipped=False):
  """Returns row, column and flip of the one crop that every image is.

  All crops are made by NumPy; none of two is the same.
  """
  originals = split.arrays['x'].numpy()
  height, width, _ = _SHAPE
  places = []
  for label, image in zip(
    labels, datasets.quantize(images, 256).numpy(), strict=True):
    padded = np.pad(
      originals[label], [(_PADDING, _PADDING)] * 2 + [(0, 0)], mode=mode)
    matches = [
      (row, column, flip)
      for row, column in itertools.product(range(2 * _PADDING + 1), repeat=2)
      for flip in ((False, True) if is_flipped else (False,))
      if np.array_equal(
        padded[row:row + height, column:column + width][:, ::1 - 2 * flip],
        image)]
    assert len(matches) == 1
    places += matches
  return np.array(places)


@_MODES
def test_padding_is_that_of_numpy(mode):
  image = np.random.default_rng(1).integers(0, 256, [6, 5, 3], np.uint8)
  for padding in (0, 1, 4):
    found = registries.CROP_MODES.get(mode)(tf.constant(image), padding)
    np.testing.assert_array_equal(
      found, np.pad(image, [(padding, padding)] * 2 + [(0, 0)], mode=mode))


@_MODES
def test_streams_hold_the_crops_of_numpy(split, mode):
  labels, images = _elements(split, 60, crop_mode=mode)
  assert images.shape == (60, *_SHAPE)
  places = _found(split, labels, images, mode)
  assert len({*map(tuple, places)}) > 30


def test_every_place_is_equally_likely():
  seeds = tf.stack([tf.zeros([4900], tf.int64), tf.range(4900, dtype=tf.int64)])
  corners = tf.map_fn(
    lambda seed: crops.random_corner(_PADDING, seed), tf.transpose(seeds),
    fn_output_signature=tf.int32,
  ).numpy()
  counts = np.zeros([7, 7])
  np.add.at(counts, tuple(corners.T), 1)
  # Expected are 100 of each of 49: chi squared has 48 degrees of freedom, a
  # mean of 48 and a deviation of 9.8.
  assert np.sum((counts - 100) ** 2 / 100) < 48 + 5 * 9.8


def test_crops_and_flips_are_drawn_apart(split):
  """A crop is flipped as it is, and neither draw depends on the other."""
  # Not reflected: the mirror image of a crop could be another crop.
  labels, flipped = _elements(split, 200, flip=True, crop_mode='constant')
  places = _found(split, labels, flipped, 'constant', is_flipped=True)
  same_labels, whole = _elements(split, 200)
  np.testing.assert_array_equal(labels, same_labels)
  np.testing.assert_array_equal(
    places[:, :2], _found(split, labels, whole, 'reflect')[:, :2])
  _, uncropped = _elements(split, 200, flip=True, crop_padding=0)
  originals = split.arrays['x'].numpy()[labels]
  heads = (datasets.quantize(uncropped, 256) == originals[:, :, ::-1]).numpy()
  np.testing.assert_array_equal(places[:, 2], heads.all(axis=(1, 2, 3)))
  # Binomial(200, 1/2) has standard deviation 7.
  assert abs(places[:, 2].sum() - 100) < 35
  # Correlations of 200 independent pairs deviate by 0.07.
  correlations = np.corrcoef(places.T)[np.triu_indices(3, 1)]
  assert np.max(np.abs(correlations)) < 0.35


def test_the_other_streams_stay_as_they_were():
  """Crops of an image of one level differ in nothing but the noise."""
  plain = splits.make_split(
    np.full([_NUM, *_SHAPE], 7, np.uint8), 256, np.arange(_NUM))
  for change in ({}, {'flip': True}):
    whole = _elements(plain, 60, crop_padding=0, **change)
    cropped = _elements(plain, 60, **change)
    for a, b in zip(whole, cropped, strict=True):
      np.testing.assert_array_equal(a, b)


@_MODES
@pytest.mark.parametrize('max_in_memory', [_NUM, 4])
def test_elements_follow_from_the_seed_and_their_number(
    split, mode, max_in_memory):
  """From any step on, and in batches of any size."""
  options = {'crop_mode': mode, 'flip': True, 'max_in_memory': max_in_memory}
  labels, images = _elements(split, 60, **options)
  for start_step in (1, 3, 5):
    rest = _elements(
      split, 60 - 10 * start_step, start_step=start_step, **options)
    np.testing.assert_array_equal(rest[0], labels[10 * start_step:])
    np.testing.assert_array_equal(rest[1], images[10 * start_step:])
  np.testing.assert_array_equal(
    _elements(split, 60, batch_size=7, **options)[1], images)
  assert np.any(_elements(split, 60, **options, seed=1)[1] != images)


@pytest.mark.parametrize('change, message', [
  ({'crop_padding': 5}, 'crop_padding=5: expected a whole number in [0, 4], le'
   'ss than the sides of the images, 7 x 5.'),
  ({'crop_padding': -1}, 'crop_padding=-1: expected a whole number in [0, 4]'),
  ({'crop_mode': 'wrap'}, 'crop_mode=wrap: expected one of reflect, constant.'),
])
def test_bad_arguments(split, change, message):
  with pytest.raises(errors.InvalidValueError) as error:
    _elements(split, 1, **change)
  assert str(error.value).startswith(message)


def test_the_widest_padding_that_can_be_mirrored(split):
  """One more is an error of TensorFlow, without a word on flags."""
  labels, images = _elements(split, 5, crop_padding=4)
  assert images.shape == (5, *_SHAPE)
  image = split.arrays['x'][labels[0]]
  with pytest.raises(tf.errors.InvalidArgumentError):
    crops.reflect(image, 5)
