"""Devices by name."""

import tensorflow as tf

from tests import testing
from tf_resflow import training


def test_names():
  """Without GPUs; `mirrored` is that of `tests.replicas`."""
  for name in ('single', 'auto'):
    strategy = training.make_strategy(name)
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
  testing.check_refusals(
      training.make_strategy, [('tpu', 'strategy=tpu: expected')])
