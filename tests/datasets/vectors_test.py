"""Parts of data sets of vectors, and what is said of bad ones."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow.datasets import condition_info

_ROWS = np.random.default_rng(0).normal(size=[9, 2])
_INFO = datasets.VectorInfo(
  name='rows', event_size=2,
  load_fn=lambda part: (_ROWS[:6], np.arange(6)) if part == 'train' else (
    _ROWS[6:], None),
)


def _open(info, split, num_validation=0):
  return info.open(split, None, num_validation)


def test_parts():
  parts = [_open(_INFO, name, 2) for name in ('train', 'validation', 'test')]
  np.testing.assert_array_equal(
    np.concatenate([part.arrays['x'] for part in parts]),
    _ROWS.astype(np.float32),
  )
  assert [part.num_levels for part in parts] == [None] * 3
  labels = np.concatenate([part.arrays['label'] for part in parts])
  assert labels.tolist() == [0, 1, 2, 3, 4, 5, -1, -1, -1]


@pytest.mark.parametrize('conditions, entry, dtype', [
  (np.arange(18.0).reshape([9, 2]), {'size': 2}, np.float32),
  (np.arange(9) % 4, {'num_labels': 4}, np.int32),
])
def test_conditions(conditions, entry, dtype):
  parts = {'train': (_ROWS[:6], None), 'test': (_ROWS[6:], None)}
  stored = {'train': conditions[:6], 'test': conditions[6:]}
  info = dataclasses.replace(
    _INFO, load_fn=parts.get,
    entry_fn=lambda: (condition_info.ConditionInfo(**entry), stored))
  given = info.conditioned(['condition'])
  found = [_open(given, name, 2) for name in ('train', 'validation', 'test')]
  arrays = [split.arrays['condition'].numpy() for split in found]
  np.testing.assert_array_equal(np.concatenate(arrays), conditions)
  assert {array.dtype for array in arrays} == {np.dtype(dtype)}
  np.testing.assert_array_equal(
    np.concatenate([split.arrays['x'] for split in found]),
    _ROWS.astype(np.float32))
  assert all(split.is_conditional for split in found)
  assert found[0].num_condition_labels == entry.get('num_labels', 0)
  assert not _open(info, 'train').is_conditional


@pytest.mark.parametrize('x, labels, message', [
  (_ROWS[:, :1], None, r'x=float64 \[9, 1\]: expected finite floats \[N, 2\]'),
  (_ROWS.astype(int), None, r'x=int64 \[9, 2\]'),
  (np.full([3, 2], np.nan), None, 'expected finite floats'),
  (_ROWS, np.arange(3), 'labels=3: expected 9 labels of load_fn of rows'),
])
def test_bad_arrays(x, labels, message):
  info = dataclasses.replace(_INFO, load_fn=lambda part: (x, labels))
  with pytest.raises(errors.InvalidValueError, match=message):
    _open(info, 'train')


def _uniform(size, dtype=tf.float32):
  return lambda key: tf.cast(
    tf.random.stateless_uniform([size], key, alg='philox'), dtype
  )


def test_drawn_parts_are_streams_of_their_own():
  info = datasets.DrawnInfo(
    name='cube', event_size=3, num_test=40, num_train=50, draw_fn=_uniform(3)
  )
  parts = {
    name: _open(info, name, 10).arrays['x'].numpy()
    for name in ('train', 'validation', 'test')
  }
  assert [len(part) for part in parts.values()] == [50, 10, 40]
  assert len(np.unique(np.concatenate(list(parts.values())))) == 300
  assert _open(info, 'train').draw_fn is info.draw_fn


def test_a_draw_of_another_shape_or_dtype_is_refused():
  info = datasets.DrawnInfo(name='odd', event_size=3, draw_fn=_uniform(2))
  with pytest.raises(
    errors.InvalidValueError,
    match=r'x=float32 \(2,\): expected float32 \[3\] of draw_fn of odd',
  ):
    _open(info, 'test')
  info = dataclasses.replace(info, draw_fn=_uniform(3, tf.float64))
  with pytest.raises(ValueError, match=r'x=float64 \(3,\): expected float32'):
    _open(info, 'test')
