"""Devices by name, and batches that replicas can share."""

import pytest
import tensorflow as tf

from tests import replicas
from tf_resflow import errors
from tf_resflow import training
from tf_resflow.training import strategies


def test_names():
  """Without GPUs; `mirrored` is that of `tests.replicas`."""
  for name in ('single', 'auto'):
    strategy = training.make_strategy(name)
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
  with pytest.raises(errors.InvalidValueError, match='^strategy=tpu: expected'):
    training.make_strategy('tpu')


def test_check_batch_size():
  strategies.check_batch_size(4, replicas.two_replicas())
  with pytest.raises(
      errors.InvalidValueError,
      match='^batch_size=3: expected a multiple of 2, the number of replicas'):
    strategies.check_batch_size(3, replicas.two_replicas())
