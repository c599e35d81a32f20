"""Distribution strategies: the devices to train on."""

import tensorflow as tf

from tf_resflow.specs import registries
from tf_resflow.training import signals


def _devices() -> list:
  """Returns the logical GPUs, or the CPUs if there are none."""
  return (tf.config.list_logical_devices('GPU') or
          tf.config.list_logical_devices('CPU'))


def single() -> tf.distribute.Strategy:
  """Returns a strategy for one device."""
  return tf.distribute.OneDeviceStrategy(_devices()[0].name)


def mirrored() -> tf.distribute.Strategy:
  """Returns a strategy for all GPUs, or all CPUs if there are none."""
  return tf.distribute.MirroredStrategy([d.name for d in _devices()])


def auto() -> tf.distribute.Strategy:
  """Returns `mirrored()` if there are several GPUs, else `single()`."""
  return mirrored() if len(
      tf.config.list_logical_devices('GPU')) > 1 else single()


def make_strategy(name: str) -> tf.distribute.Strategy:
  """Returns a strategy by its name.

  Args:
    name: one of `registries.STRATEGIES`: auto, single, mirrored.
  """
  strategy = registries.STRATEGIES.get(name)()
  if signals.active:
    signals.active.install()  # One for several workers takes SIGTERM.
  return strategy
