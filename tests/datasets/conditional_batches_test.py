"""Batches for p(x|c): a condition stays with its example."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow.datasets import pipeline

_NUM = 10
_RNG = np.random.default_rng(2)
_IMAGES = _RNG.integers(0, 256, [_NUM, 2, 3, 1], dtype=np.uint8)
_CONDITIONS = _RNG.normal(size=[_NUM, 3]).astype(np.float32)


def _split(conditions=_CONDITIONS):
  """Returns images whose labels say nothing of their places."""
  return datasets.Split(
    tf.data.Dataset.from_tensor_slices({
      'x': _IMAGES, 'label': np.zeros([_NUM], np.int32),
      'condition': conditions}),
    _NUM, (2, 3, 1), num_levels=256,
  )


def _conditions_of(x, flip=False):
  """Returns what goes with images, found by these in the data."""
  places = []
  for image in datasets.quantize(x, 256).numpy():
    is_same = (_IMAGES == image).all(axis=(1, 2, 3))
    if flip:
      is_same |= (_IMAGES[:, :, ::-1] == image).all(axis=(1, 2, 3))
    (place,) = np.flatnonzero(is_same)
    places.append(place)
  return _CONDITIONS[places]


@pytest.mark.parametrize('max_in_memory', [_NUM, 4])
@pytest.mark.parametrize('batch_size', [4, 25])
def test_shuffled_batches(max_in_memory, batch_size):
  def rows(start_step, num_batches):
    batches = datasets.training_batches(
      _split(), batch_size=batch_size, seed=3, start_step=start_step,
      flip=True, max_in_memory=max_in_memory)
    assert batches.element_spec['condition'] == tf.TensorSpec(
      [batch_size, 3], tf.float32)
    return list(itertools.islice(batches.as_numpy_iterator(), num_batches))

  whole = rows(0, 8)
  for row in whole:
    np.testing.assert_array_equal(
      row['condition'], _conditions_of(row['x'], flip=True))
  # They are shuffled, and otherwise in every epoch.
  first = np.concatenate([row['condition'] for row in whole])[:2 * _NUM]
  assert (first[:_NUM] != _CONDITIONS).any()
  assert (first[:_NUM] != first[_NUM:]).any()
  for row, expected in zip(rows(5, 3), whole[5:], strict=True):
    np.testing.assert_array_equal(row['condition'], expected['condition'])


@pytest.mark.parametrize('in_memory', [True, False])
@pytest.mark.parametrize('batch_size', [4, 25])
def test_evaluation_is_in_order(in_memory, batch_size, monkeypatch):
  if not in_memory:
    monkeypatch.setattr(pipeline, 'MAX_IN_MEMORY', 3)
  rows = list(datasets.evaluation_batches(
    _split(), batch_size=batch_size, seed=0).as_numpy_iterator())
  for row in rows:
    np.testing.assert_array_equal(row['condition'], _conditions_of(row['x']))
  np.testing.assert_array_equal(
    np.concatenate([row['condition'] for row in rows]), _CONDITIONS)
  (few,) = datasets.evaluation_batches(
    _split(), batch_size=25, seed=0, num_examples=3)
  np.testing.assert_array_equal(few['condition'], _CONDITIONS[:3])


def test_labels_keep_their_type():
  labels = np.arange(_NUM, dtype=np.int32)
  for batches in (
    datasets.training_batches(_split(labels), batch_size=4, seed=0),
    datasets.evaluation_batches(_split(labels), batch_size=4, seed=0),
  ):
    spec = batches.element_spec['condition']
    assert (spec.dtype, spec.shape.rank) == (tf.int32, 1)


@pytest.mark.parametrize('fn', ['training_batches', 'evaluation_batches'])
def test_the_stream_is_that_without_conditions(embedded_dir, fn):
  plain, given = (
    next(getattr(datasets, fn)(
      datasets.load('digits', 'train', data_dir=embedded_dir, condition=names),
      batch_size=64, seed=0).as_numpy_iterator())
    for names in ((), ('label',))
  )
  assert set(given) - set(plain) == {'condition'}
  for key, value in plain.items():
    np.testing.assert_array_equal(given[key], value)
  np.testing.assert_array_equal(given['condition'], plain['label'])
