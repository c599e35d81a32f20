"""Uses of the private APIs of Keras; see `private_tf_apis.py`."""

from collections.abc import Iterator

import keras
import tensorflow as tf


def sublayers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
  """Yields a Keras layer and all layers within it.

  Keras has no public way to walk through the layers of any layer: `layers` is
  an attribute of models alone.
  """
  return layer._flatten_layers()  # pylint: disable=protected-access


def adam_moments(
    optimizer: keras.optimizers.Adam, variable: keras.Variable | tf.Variable
) -> tuple[tf.Variable, tf.Variable]:
  """Returns the variables of Adam's first and second moment of a variable.

  Keras has no public way to look up the optimizer's state of a variable.
  """
  # pylint: disable=protected-access
  index = optimizer._get_variable_index(variable)
  return optimizer._momentums[index].value, optimizer._velocities[index].value
