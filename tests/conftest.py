"""Two logical CPU devices for the tests of replicas, and the digits."""

import pytest

from tf_resflow import datasets

NUM_LOGICAL_CPUS = 2


def pytest_configure(config):
  """Makes the devices, which are fixed when TensorFlow starts.

  So this must run before any test module makes a tensor.

  Args:
    config: of pytest.
  """
  if config.getoption('numprocesses', None) and not hasattr(
      config, 'workerinput'):
    return  # This process runs no test, it hands them to others.
  import tensorflow as tf

  tf.config.set_logical_device_configuration(
      tf.config.list_physical_devices('CPU')[0],
      [tf.config.LogicalDeviceConfiguration()] * NUM_LOGICAL_CPUS)


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  """A folder with the digits, prepared once."""
  folder = tmp_path_factory.mktemp('data')
  datasets.load('digits', 'train', data_dir=folder)
  return str(folder)
