"""Batches on two devices come back as from one, in order and once each."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tf_resflow.evaluation import batch_map
from tf_resflow.numerics import random


def _batches(sizes):
  """Batches `[B, 3]` of numbers that all differ, with a seed each."""
  start = 0
  for i, size in enumerate(sizes):
    yield (tf.reshape(tf.range(3.0 * start, 3.0 * (start + size)), [size, 3]),
           tf.constant([7, i]))
    start += size


def _function(x, seed, whole_batch=random.whole_batch):
  """Depends on the draws, and on the whole batch."""
  seed = whole_batch(seed)
  noise = random.normal(tf.shape(x), seed) * random.rademacher(
      tf.shape(x), random.fold_in(seed, 1))
  return {'sum': tf.reduce_sum(x, axis=1), 'noise': x + noise,
          'mean': tf.fill([tf.shape(x)[0]], tf.reduce_mean(x))}


# An odd number of batches leaves one device idle; the last one is ragged.
@pytest.mark.parametrize('sizes', [[4, 4, 3], [4, 4], [4, 2], [3], []])
def test_two_devices_agree_with_one(sizes):
  one = list(batch_map.BatchMap(_function, shared=[1])(_batches(sizes)))
  two = list(batch_map.BatchMap(
      _function, replicas.two_replicas(), shared=[1])(_batches(sizes)))
  assert len(one) == len(two) == len(sizes)
  for a, b, (x, _) in zip(one, two, _batches(sizes), strict=True):
    np.testing.assert_array_equal(a['sum'], np.sum(x, axis=1))
    for name in a:
      np.testing.assert_array_equal(a[name], b[name], err_msg=name)


@pytest.mark.parametrize('sizes', [[4, 4, 3], [4, 4, 4, 4, 1], [3], []])
def test_batches_at_once_agree(sizes, request):
  alone = list(batch_map.BatchMap(_function, shared=[1])(_batches(sizes)))
  request.getfixturevalue('two_cores')
  at_once = list(batch_map.BatchMap(_function, shared=[1])(_batches(sizes)))
  assert len(alone) == len(at_once) == len(sizes)
  for a, b in zip(alone, at_once, strict=True):
    for name in a:
      np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_both_devices_work():
  def where(x):
    context = tf.distribute.get_replica_context()
    return tf.fill(tf.shape(x), context.replica_id_in_sync_group)

  parts = list(batch_map.BatchMap(where, replicas.two_replicas())(
      (tf.zeros([2]),) for _ in range(5)))
  np.testing.assert_array_equal([part[0] for part in parts], [0, 1, 0, 1, 0])


def test_draws_for_a_global_batch_would_differ():
  """What would go wrong: a device draws as the holder of half a batch."""

  def run(whole_batch):
    return list(batch_map.BatchMap(
        lambda x, seed: _function(x, seed, whole_batch),
        replicas.two_replicas(), shared=[1])(_batches([4, 4])))

  right, wrong = run(random.whole_batch), run(random.as_seed)
  np.testing.assert_array_equal(right[0]['sum'], wrong[0]['sum'])
  assert np.all(right[1]['noise'] != wrong[1]['noise'])


def test_batches_are_read_as_they_are_needed():
  """Not all at once: there may be many."""
  read = []

  def batches():
    for i in range(6):
      read.append(i)
      yield (tf.constant([float(i)]),)

  results = batch_map.BatchMap(
      lambda x: 2.0 * x, replicas.two_replicas())(batches())
  assert next(results) == [0.0]
  assert len(read) == 2
  assert [float(r[0]) for r in results] == [2.0, 4.0, 6.0, 8.0, 10.0]


def test_verbose(capsys, caplog):
  """The progress bar and its title show up when they are asked to."""
  caplog.set_level(logging.INFO, 'tf_resflow')
  for verbose, shown in ((1, '5/5'), (0, '')):
    caplog.clear()
    bar = batch_map.progress_bar(5, verbose, 'Inverting.')
    bar.add(2)
    bar.add(3)
    output = capsys.readouterr().out
    assert shown in output and bool(output) == bool(shown)
    assert caplog.messages == verbose * ['Inverting.']


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_the_bar_counts_every_example_once(capsys, strategy):
  """Also where a device is idle and repeats a batch."""
  bar = batch_map.progress_bar(11, 1)
  mapped = batch_map.BatchMap(
      _function, strategy and strategy(), shared=[1])
  assert len(list(mapped(_batches([4, 4, 3]), bar))) == 3
  assert '11/11' in capsys.readouterr().out


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_is_traced_once_and_follows_the_variables(strategy):
  variable, traces = tf.Variable(1.0), []

  def function(x):
    traces.append(x)
    return variable * x

  mapped = batch_map.BatchMap(function, strategy and strategy())
  for value in (1.0, 5.0):
    variable.assign(value)
    found = np.concatenate(list(mapped(_batches_of_ones(4))))
    np.testing.assert_array_equal(found, np.full([12], value, np.float32))
    assert len(traces) == (1 if strategy is None else 2)  # One a replica.


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
@pytest.mark.parametrize('sizes, traced', [
    ([4, 4, 3], [4]),  # Filled up.
    ([4, 2], [4]),
    ([8, 8, 3], [8, None]),  # Most of a batch would be thrown away.
    ([3], [3])])
def test_a_smaller_last_batch_takes_the_graph_of_the_others(
    strategy, sizes, traced):
  shapes = []

  def function(x, seed):
    shapes.append(x.shape[0])
    return x + tf.cast(seed[1], x.dtype)

  mapped = batch_map.BatchMap(function, strategy and strategy(), shared=[1])
  found = list(mapped(_batches(sizes)))
  for i, (part, (x, _)) in enumerate(zip(found, _batches(sizes), strict=True)):
    np.testing.assert_array_equal(part, x + i)
  assert list(dict.fromkeys(shapes)) == traced


def _batches_of_ones(count):
  return ((tf.ones([3]),) for _ in range(count))
