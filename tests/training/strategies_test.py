"""Devices by name."""

import pytest
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import training


def test_names():
  """Without GPUs; `mirrored` is that of `tests.replicas`."""
  for name in ('single', 'auto'):
    strategy = training.make_strategy(name)
    assert isinstance(strategy, tf.distribute.OneDeviceStrategy)
  with pytest.raises(errors.InvalidValueError, match='^strategy=tpu: expected'):
    training.make_strategy('tpu')
