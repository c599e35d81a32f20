"""Which devices a program computes on."""

import tensorflow as tf

from tf_resflow.specs import registries


def _devices() -> list:
  """Returns the logical GPUs, or the CPUs where there are none."""
  return (tf.config.list_logical_devices('GPU') or
          tf.config.list_logical_devices('CPU'))


def single() -> tf.distribute.Strategy:
  """Returns the strategy of one device."""
  return tf.distribute.OneDeviceStrategy(_devices()[0].name)


def mirrored() -> tf.distribute.Strategy:
  """Returns the strategy of all GPUs, else of all logical CPUs."""
  return tf.distribute.MirroredStrategy([d.name for d in _devices()])


def auto() -> tf.distribute.Strategy:
  """Returns `mirrored()` where there are several GPUs, else `single()`."""
  return mirrored() if len(
      tf.config.list_logical_devices('GPU')) > 1 else single()


def make_strategy(name: str) -> tf.distribute.Strategy:
  """Returns the strategy that a flag names.

  Args:
    name: one of `registries.STRATEGIES`: auto, single, mirrored.
  """
  return registries.STRATEGIES.get(name)()
