"""Tests of the batch streams: order, noise, crops, flips and exact resuming.

Padding is that of NumPy.
"""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow.datasets import pipeline

_NUM = 10
_SHAPE = (2, 3, 1)
# In memory, and streamed through a buffer smaller than the set.
_MODES = pytest.mark.parametrize('max_in_memory', [_NUM, 4])


def _split(num_examples=_NUM, shape=_SHAPE, num_levels=256):
  """Returns random images; each label is the position of its image."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, num_levels, [num_examples, *shape], dtype=np.uint8)
  return splits.make_split(
    images, num_levels, np.arange(num_examples, dtype=np.int32))


def _take(batches, num_batches):
  rows = list(itertools.islice(batches.as_numpy_iterator(), num_batches))
  return {key: np.stack([row[key] for row in rows]) for key in rows[0]}


@_MODES
def test_each_epoch_is_another_permutation(max_in_memory):
  # Replaying 4e12 elements would never end.
  for start_step in (0, 10**12):
    batches = datasets.training_batches(
      _split(), batch_size=4, seed=0, start_step=start_step,
      max_in_memory=max_in_memory)
    assert batches.element_spec == {
      'x': tf.TensorSpec([4, *_SHAPE], tf.float32),
      'label': tf.TensorSpec([4], tf.int32)}
    # 15 batches of 4 make 6 epochs of 10, and 4 does not divide 10.
    epochs = _take(batches, 15)['label'].reshape([6, _NUM])
    np.testing.assert_array_equal(
      np.sort(epochs, axis=1), np.tile(np.arange(_NUM), [6, 1]))
    assert len({tuple(epoch) for epoch in epochs}) == 6


def test_every_position_of_an_epoch_is_equally_likely():
  batches = datasets.training_batches(_split(), batch_size=_NUM, seed=0)
  labels = _take(batches, 1000)['label']
  counts = np.stack([
    np.bincount(labels[:, position], minlength=_NUM)
    for position in range(_NUM)])
  # Each count is binomial(1000, 0.1), standard deviation 9.5.
  np.testing.assert_allclose(counts, 100, atol=5 * 9.5)


@_MODES
def test_elements_follow_from_the_seed_and_their_number(max_in_memory):
  """Bit for bit, from any step on and in batches of any size."""
  def elements(batch_size, start_step=0):
    batches = datasets.training_batches(
      _split(), batch_size=batch_size, seed=7, start_step=start_step,
      flip=True, crop_padding=1, max_in_memory=max_in_memory)
    (rows,) = batches.unbatch().batch(56 - 4 * start_step).take(1)
    return {key: value.numpy() for key, value in rows.items()}

  # Epochs end inside steps 2 and 7 and after step 4.
  whole = elements(4)
  for start_step in (2, 5, 8):
    np.testing.assert_equal(elements(4, start_step), {
      key: value[4 * start_step:] for key, value in whole.items()})
  for batch_size in (1, 3, 24):
    np.testing.assert_equal(elements(batch_size), whole)


@_MODES
@pytest.mark.parametrize('draws', [False, True])
def test_a_share_is_its_rows_of_every_batch(max_in_memory, draws):
  split = _split(num_examples=11)
  if draws:
    split = dataclasses.replace(split, draw_fn=lambda key: tf.cast(
      tf.random.stateless_uniform(_SHAPE, key), tf.float32), num_levels=None)
  options = {'batch_size': 6, 'seed': 3, 'start_step': 2, 'flip': not draws,
             'max_in_memory': max_in_memory}
  whole = _take(datasets.training_batches(split, **options), 4)
  for index in range(3):
    share = _take(datasets.training_batches(
      split, share=(index, 3), **options), 4)
    for key, rows in whole.items():
      np.testing.assert_array_equal(
        share[key], rows[:, 2 * index:2 * index + 2])


def test_a_share_decodes_no_other_rows(monkeypatch):
  """At most what is read ahead of them."""
  decoded, continuous = [], pipeline._continuous

  def count(x, split, key, index):
    tf.py_function(lambda i: decoded.append(int(i)), [index], [])
    return continuous(x, split, key, index)

  monkeypatch.setattr(pipeline, '_continuous', count)
  batches = datasets.training_batches(
    _split(num_examples=12), batch_size=12, seed=0, share=(1, 3))
  _take(batches, 5)
  assert len(decoded) >= 20 and {i % 12 for i in decoded} == {4, 5, 6, 7}


def test_streams_are_those_of_earlier_versions():
  """A run that goes on under a new version sees what it would have seen."""
  images = 10 * np.arange(24, dtype=np.uint8).reshape([6, 2, 2, 1])
  split = splits.make_split(images, 256, np.arange(6, dtype=np.int32))
  rows = _take(
    datasets.training_batches(split, batch_size=5, seed=3, flip=True), 1)
  assert rows['label'].tolist() == [[3, 4, 2, 5, 1]]
  # The third and the fourth are flipped.
  assert datasets.quantize(rows['x'][0, :, 0, 0, 0], 256).numpy().tolist() == [
    120, 160, 90, 210, 40]
  np.testing.assert_array_equal(256 * rows['x'][0, :2].ravel(), np.float32([
    120.43209075927734, 130.95504760742188, 140.9925994873047,
    150.6319122314453, 160.5126190185547, 170.5005645751953,
    180.6820831298828, 190.51808166503906]))


@pytest.mark.parametrize('mode', ['training', 'evaluation'])
def test_noise_is_uniform_and_independent(mode):
  split = _split(200, shape=(8, 8, 1), num_levels=2)
  if mode == 'training':
    batches = datasets.training_batches(split, batch_size=200, seed=0)
  else:
    batches = datasets.evaluation_batches(
      split, batch_size=200, seed=0).concatenate(
        datasets.evaluation_batches(split, batch_size=200, seed=1))
  rows = _take(batches, 2)
  level = split.arrays['x'].numpy()[rows['label']]
  # float32 keeps 22 bits of the noise with two levels.
  noise = (rows['x'].astype(np.float64) * 2 - level).reshape([400, 64])
  num = noise.size
  assert noise.min() >= 0
  assert noise.max() <= 1
  # Kolmogorov-Smirnov, critical value of level 1e-6.
  gap = np.abs(np.sort(noise.ravel()) - (np.arange(num) + 0.5) / num).max()
  assert gap < 2.7 / np.sqrt(num)
  centred = noise - 0.5
  # Neighbouring elements, the same element one epoch on, neighbouring pixels.
  for left, right in (
    (centred[1:], centred[:-1]),
    (centred[200:], centred[:200]),
    (centred[:, 1:], centred[:, :-1])):
    correlation = np.mean(left * right) * 12
    assert abs(correlation) < 5 / np.sqrt(left.size)


def test_examples_in_memory_are_read_once():
  reads = []

  def rows():
    reads.append(None)
    for label in range(_NUM):
      yield {'x': np.zeros(_SHAPE, np.uint8), 'label': np.int32(label)}

  split = dataclasses.replace(
    _split(), examples=tf.data.Dataset.from_generator(
      rows, output_signature={'x': tf.TensorSpec(_SHAPE, tf.uint8),
                              'label': tf.TensorSpec([], tf.int32)}))
  _take(datasets.training_batches(split, batch_size=4, seed=0), 10)
  batches = datasets.evaluation_batches(split, batch_size=4, seed=0)
  for _ in range(2):
    assert len(list(batches)) == 3
  assert len(reads) == 1


@pytest.mark.parametrize('in_memory', [True, False])
def test_evaluation_visits_each_example_once(in_memory, monkeypatch):
  if not in_memory:
    monkeypatch.setattr(pipeline, 'MAX_IN_MEMORY', 3)
  split = _split()
  rows = list(
    datasets.evaluation_batches(split, batch_size=4, seed=0)
    .as_numpy_iterator())
  assert ('arrays' in vars(split)) == in_memory
  assert [len(row['label']) for row in rows] == [4, 4, 2]
  index = np.concatenate([row['index'] for row in rows])
  assert index.dtype == np.int64
  np.testing.assert_array_equal(index, np.arange(_NUM))
  np.testing.assert_array_equal(
    np.concatenate([row['label'] for row in rows]), index)
  image = np.concatenate([row['x'] for row in rows])
  np.testing.assert_array_equal(
    datasets.quantize(image, 256), split.arrays['x'])


def test_evaluation_noise_depends_on_seed_and_index_alone():
  def images(**arguments):
    batches = datasets.evaluation_batches(_split(), **arguments)
    return np.concatenate([row['x'] for row in batches])

  expected = images(batch_size=4, seed=0)
  np.testing.assert_array_equal(images(batch_size=7, seed=0), expected)
  np.testing.assert_array_equal(
    images(batch_size=2, seed=0, num_examples=5), expected[:5])
  assert (images(batch_size=4, seed=1) != expected).any(axis=(1, 2, 3)).all()
  # The noise of training is another one.
  one = datasets.training_batches(_split(1), batch_size=1, seed=0)
  assert (_take(one, 1)['x'] != expected[:1]).all()


@_MODES
def test_conditions_stay_with_their_examples(max_in_memory, monkeypatch):
  monkeypatch.setattr(pipeline, 'MAX_IN_MEMORY', max_in_memory)
  conditions = np.random.default_rng(3).normal(size=[_NUM, 3]).astype('f4')
  split = splits.with_conditions(_split(), conditions)
  for batches in (
      datasets.training_batches(
        split, batch_size=4, seed=3, flip=True, max_in_memory=max_in_memory),
      datasets.evaluation_batches(split, batch_size=4, seed=0)):
    for row in batches.take(8).as_numpy_iterator():
      np.testing.assert_array_equal(row['condition'], conditions[row['label']])


def test_bad_arguments():
  testing.check_refusals(
    lambda changes: datasets.evaluation_batches(
      _split(), seed=0, **{'batch_size': 4, **changes}), [
        ({'num_examples': 11}, 'num_examples=11: ...[1, 10]'),
        ({'num_examples': 0}, 'num_examples=0: expected an integer')])


_CROPPED = (7, 5, 2)
_PADDING = 3


@pytest.fixture(scope='module', name='split')
def _cropped_split():
  return _split(20, _CROPPED)


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
  height, width, _ = _CROPPED
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


def test_every_place_is_equally_likely(split):
  places = _found(split, *_elements(split, 4900), 'reflect')
  counts = np.zeros([7, 7])
  np.add.at(counts, tuple(places[:, :2].T), 1)
  # Expected are 100 of each of 49: chi squared has 48 degrees of freedom, a
  # mean of 48 and a standard deviation of 9.8.
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
  # The coin is tossed anew in every epoch.
  assert 0 < places[labels == 0, 2].mean() < 1
  # Binomial(200, 1/2) has standard deviation 7.
  assert abs(places[:, 2].sum() - 100) < 35
  # Correlations of 200 independent pairs deviate by 0.07.
  correlations = np.corrcoef(places.T)[np.triu_indices(3, 1)]
  assert np.max(np.abs(correlations)) < 0.35


def test_the_other_streams_stay_as_they_were():
  """Crops of an image of one level differ in nothing but the noise."""
  plain = splits.make_split(
    np.full([20, *_CROPPED], 7, np.uint8), 256, np.arange(20))
  for change in ({}, {'flip': True}):
    np.testing.assert_equal(
        _elements(plain, 60, **change),
        _elements(plain, 60, crop_padding=0, **change))
