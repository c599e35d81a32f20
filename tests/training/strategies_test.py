"""Devices by name; their parts of a batch; processes that are lost."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests import replicas
from tests.training import runs
from tf_resflow import configuration
from tf_resflow import training
from tf_resflow.training import clusters
from tf_resflow.training import strategies


def test_names():
  """Without GPUs; `mirrored` is that of `tests.replicas`."""
  for name in ('single', 'auto'):
    strategy = training.make_strategy(name)
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)


def test_a_lost_process_is_named():
  """Of several; `hosts_test.py` has real ones."""
  resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
      tf.train.ClusterSpec({'worker': ['a:1', 'b:2', 'c:3']}),
      task_type='worker', task_id=0)
  several = mock.Mock(cluster_resolver=resolver)
  alone = tf.distribute.OneDeviceStrategy('/cpu:0')
  lost = tf.errors.UnavailableError(
      None, None, 'from /job:worker/replica:0/task:2, seen by .../task:0')
  for strategy, kind, message in (
      (several, clusters.PeerLostError, r'^process 2 \(c:3\) has ended'),
      (alone, tf.errors.UnavailableError, 'task:2')):
    with (pytest.raises(kind, match=message),
          strategies.naming_lost_peers(strategy)):
      raise lost
  assert clusters.PeerLostError.exit_status == 4
  assert (strategies.num_workers(several), strategies.num_workers(alone)) == (
      3, 1)
  assert strategies.gather(alone, 7) == [7]


def _batch(config, strategy):
  split = config.open_split('train')
  return next(iter(
      strategies.distributed_batches(config, split, strategy, start_step=0)))


def test_parts_are_unions_of_the_replicas_parts(data_dir):
  config = runs.config(
      data_dir, batch_size=6, accumulation_steps=3, condition_on=('label',))
  one = _batch(config, training.make_strategy('single'))
  assert one.x.shape == (18, 8, 8, 1) and one.labels.shape == (18,)
  two = _batch(config, replicas.two_replicas())
  assert one.weight is None
  for expected, values in zip(one[:3], two[:3], strict=True):
    parts = np.split(expected.numpy(), 3)
    halves = [np.split(v, 3) for v in replicas.local_values(values)]
    for i, part in enumerate(parts):
      np.testing.assert_array_equal(
          part, np.concatenate([half[i] for half in halves]))
  np.testing.assert_array_equal(one.condition, one.labels)
  plain = config.replace(condition_on=())
  assert _batch(plain, training.make_strategy('single')).condition is None


def test_data_without_labels_have_none():
  batch = _batch(configuration.make_config(dataset='2d/moons', batch_size=6),
                 training.make_strategy('single'))
  assert batch.x.shape == (6, 2)
  assert batch.labels is None and batch.condition is None
