"""Random crops against NumPy's padding, and the streams that hold them."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow.datasets import crops
from tf_resflow.specs import registries

_SHAPE = (7, 5, 2)
_PADDING = 3
_NUM = 20


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


def test_padding_is_that_of_numpy():
  image = np.random.default_rng(1).integers(0, 256, [6, 5, 3], np.uint8)
  for mode in registries.CROP_MODES.names():
    for padding in (0, 1, 4):
      found = registries.CROP_MODES.get(mode)(tf.constant(image), padding)
      np.testing.assert_array_equal(
        found, np.pad(image, [(padding, padding)] * 2 + [(0, 0)], mode=mode))


def test_every_place_is_equally_likely():
  draw = tf.function(lambda index: crops.random_corner(
    _PADDING, tf.stack([tf.constant(0, tf.int64), index])))
  corners = np.stack(list(
    tf.data.Dataset.range(4900).map(draw).as_numpy_iterator()))
  counts = np.zeros([7, 7])
  np.add.at(counts, tuple(corners.T), 1)
  # Expected are 100 of each of 49: chi squared has 48 degrees of freedom, a
  # mean of 48 and a deviation of 9.8.
  assert np.sum((counts - 100) ** 2 / 100) < 48 + 5 * 9.8


def test_crops_and_flips_are_drawn_apart(split):
  """Crops are those of NumPy, flipped as they are; draws are independent."""
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


def test_elements_follow_from_the_seed_and_their_number(split):
  """From any step on, and in batches of any size."""
  options = {'crop_mode': 'constant', 'flip': True}
  labels, images = _elements(split, 60, **options)
  rest = _elements(split, 30, start_step=3, **options)
  np.testing.assert_array_equal(rest[0], labels[30:])
  np.testing.assert_array_equal(rest[1], images[30:])
  np.testing.assert_array_equal(
    _elements(split, 60, batch_size=7, **options)[1], images)
  assert np.any(_elements(split, 60, **options, seed=1)[1] != images)


def test_padding_that_is_too_wide(split):
  """Where there is nothing more to mirror."""
  _, images = _elements(split, 5, crop_padding=4)
  assert images.shape == (5, *_SHAPE)
  testing.check_refusals(lambda size: _elements(split, 1, crop_padding=size), [
    (5, 'crop_padding=5: expected a whole number in [0, 4], less than the side'
     's of the images, 7 x 5.'),
    (-1, 'crop_padding=-1: expected a whole number in [0, 4]')])
