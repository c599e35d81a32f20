"""Devices by name."""

from unittest import mock

import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import training
from tf_resflow.training import clusters
from tf_resflow.training import strategies


def test_names():
  """Without GPUs; `mirrored` is that of `tests.replicas`."""
  for name in ('single', 'auto'):
    strategy = training.make_strategy(name)
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
  testing.check_refusals(
      training.make_strategy, [('tpu', 'strategy=tpu: expected')])


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
