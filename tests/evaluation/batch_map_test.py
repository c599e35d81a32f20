"""Batches on two devices come back as from one, in order and once each."""

import logging

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import replicas
from tests.evaluation import conditional_flows
from tf_resflow import datasets
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow.evaluation import batch_map
from tf_resflow.numerics import random


def _batches(sizes):
  """Batches `[B, 3]` of numbers that all differ, with a seed each."""
  start = 0
  for i, size in enumerate(sizes):
    yield (tf.reshape(tf.range(3.0 * start, 3.0 * (start + size)), [size, 3]),
           tf.constant([7, i]))
    start += size


def _function(x, seed):
  """Depends on the draws, and on the whole batch."""
  seed = random.per_replica(seed)
  noise = random.normal(tf.shape(x), seed) * random.rademacher(
      tf.shape(x), random.fold_in(seed, 1))
  return {'sum': tf.reduce_sum(x, axis=1), 'noise': x + noise,
          'mean': tf.fill([tf.shape(x)[0]], tf.reduce_mean(x))}


def _run(sizes, strategy=None):
  return list(batch_map.BatchMap(
      _function, strategy, shared=[1], is_repeated=True)(_batches(sizes)))


# An odd number of batches leaves one device idle; the last one is ragged.
@pytest.mark.parametrize('sizes', [[4, 4, 4, 4, 3], [3], []])
def test_two_devices_and_batches_at_once_agree_with_one(sizes, request):
  one = _run(sizes)
  assert len(one) == len(sizes)
  for a, (x, _) in zip(one, _batches(sizes), strict=True):
    np.testing.assert_array_equal(a['sum'], np.sum(x, axis=1))
  np.testing.assert_equal(_run(sizes, replicas.two_replicas()), one)
  request.getfixturevalue('two_cores')
  np.testing.assert_equal(_run(sizes), one)


def test_both_devices_work():
  def where(x):
    context = tf.distribute.get_replica_context()
    return tf.fill(tf.shape(x), context.replica_id_in_sync_group)

  parts = list(batch_map.BatchMap(where, replicas.two_replicas())(
      (tf.zeros([2]),) for _ in range(5)))
  np.testing.assert_array_equal([part[0] for part in parts], [0, 1, 0, 1, 0])


@pytest.mark.parametrize('num_batches, options, num_calls', [
    (8, {}, 8), (9, {}, 1), (8, {'is_repeated': True}, 1),
    (8, {'strategy': replicas.two_replicas}, 1)])
def test_few_batches_are_not_traced(num_batches, options, num_calls):
  calls = []

  def function(x, seed):
    calls.append(x)
    return _function(x, seed)

  if 'strategy' in options:
    options = {'strategy': options['strategy']()}
  found = list(batch_map.BatchMap(function, shared=[1], **options)(
      _batches([4] * num_batches)))
  np.testing.assert_equal(found, _run([4] * num_batches))
  assert len(calls) == num_calls * (2 if 'strategy' in options else 1)


def test_batches_of_all_calls_count():
  calls = []
  double = batch_map.BatchMap(lambda x: calls.append(x) or 2.0 * x)
  for count, traced in ((5, 5), (3, 8), (1, 9), (2, 9)):
    found = list(double((tf.constant([float(i)]),) for i in range(count)))
    np.testing.assert_array_equal(found, 2.0 * np.arange(count)[:, np.newaxis])
    assert len(calls) == traced


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
  """The bar, which counts every example once, and its title, if asked for."""
  caplog.set_level(logging.INFO, 'tf_resflow')
  for verbose, shown in ((1, '11/11'), (0, '')):
    # Also where a device is idle and repeats a batch.
    for strategy in (None, replicas.two_replicas()):
      caplog.clear()
      mapped = batch_map.BatchMap(lambda x, seed: x, strategy, shared=[1])
      bar = batch_map.progress_bar(11, verbose, 'Inverting.')
      assert len(list(mapped(_batches([4, 4, 3]), bar))) == 3
      output = capsys.readouterr().out
      assert shown in output and bool(output) == bool(shown)
      assert caplog.messages == verbose * ['Inverting.']


@pytest.mark.parametrize('strategy', [None, replicas.two_replicas])
def test_a_smaller_last_batch_takes_the_graph_of_the_others(strategy):
  """And the graph follows its variables."""
  variable = tf.Variable(1.0)
  for sizes, traced in (
      ([4, 4, 3], [4]),  # Filled up.
      ([4, 2], [4]),
      ([8, 8, 3], [8, None]),  # Most of a batch would be thrown away.
      ([3], [3])):
    shapes = []

    def function(x, seed, shapes=shapes):
      shapes.append(x.shape[0])
      return variable * x + tf.cast(seed[1], x.dtype)

    mapped = batch_map.BatchMap(
        function, strategy and strategy(), shared=[1], is_repeated=True)
    for value in (1.0, 5.0):
      variable.assign(value)
      for i, (part, (x, _)) in enumerate(
          zip(mapped(_batches(sizes)), _batches(sizes), strict=True)):
        np.testing.assert_array_equal(part, value * x + i)
    # Once for every replica.
    assert shapes == np.repeat(traced, 2 if strategy else 1).tolist(), sizes


_NUM_EXAMPLES = 11
_X, _CONDITION = conditional_flows.make_vectors(_NUM_EXAMPLES)


def test_conditions_of_every_example(labelled, vector64):
  for model, given, expected in (
      (labelled, 2, [2, 2, 2]), (labelled, [2, 0, 1], [2, 0, 1]),
      (vector64, [5.0, 6.0], [[5.0, 6.0]] * 3)):
    np.testing.assert_array_equal(
        batch_map.conditions_for(model, given, 3), expected)
  # Batches of 2 would not notice: [0, 1], [2] is one for each, one for all.
  for num_given in (2, 3, 5, 6, 8):
    with pytest.raises(errors.InvalidValueError, match=(
        f'condition=a batch of {num_given}: expected a batch of 4 or 1')):
      batch_map.conditions_for(labelled, np.zeros(num_given, int), 4)
  with pytest.raises(errors.InvalidValueError, match='condition cannot be'):
    batch_map.conditions_for(flows.make_flow_without_blocks(), [1, 2, 0], 3)


def test_given_vectors(vector64):
  found = evaluation.evaluate_inputs(
      vector64, _X, condition=_CONDITION, batch_size=4)
  expected = vector64.log_prob(_X, _CONDITION, estimator='exact')
  np.testing.assert_allclose(found['log_prob'], expected, rtol=1e-9)
  np.testing.assert_allclose(
      found['z'], vector64.encode(_X, condition=_CONDITION), rtol=1e-12)
  with pytest.raises(errors.InvalidValueError, match='condition=a batch of 6'):
    evaluation.evaluate_inputs(
        vector64, _X, condition=_CONDITION[:6], batch_size=5)
  results = evaluation.report.report_inputs(
      vector64, _X, found, batch_size=4, condition=_CONDITION)
  report = results.report()
  assert report['nats'] == pytest.approx(-np.mean(expected))
  assert report['num_reconstructions'] == _NUM_EXAMPLES
  assert report['inverse_num_not_converged'] == 0
  assert 0.0 < report['inverse_residual_max'] < 1e-5
  assert 0.0 < report['reconstruction_error_max'] < 1e-5
  # Latents lead elsewhere with another condition, so it was their own.
  there = vector64.inverse(found['z'], _CONDITION[::-1])
  assert np.abs(there - _X).max() > 1e-2
  assert len(results.bounds) == 2 and report['lipschitz_bound_max'] < 1.0


def test_classes_of_hybrids_know_the_condition():
  """As of labels that are given, whatever else is classified."""
  model = conditional_flows.make_labelled_flow(num_classes=2, head_channels=4)
  split = conditional_flows.make_labelled_split(5)
  batches = datasets.evaluation_batches(split, batch_size=2, seed=0)
  found = evaluation.likelihood.classifications(model)(batches)
  x = np.concatenate([batch['x'] for batch in batches])
  labels = np.arange(5) % 3
  np.testing.assert_allclose(
      found, tf.nn.log_softmax(model.classify(x, labels)), atol=1e-5)
  other = tf.nn.log_softmax(model.classify(x, (labels + 1) % 3))
  assert np.abs(found - other).max() > 1e-4
