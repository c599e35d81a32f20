"""What this package uses of other packages beyond their public names.

Each entry says why. `tests/private_apis_test.py` fails where an upgrade changes
one of them. What is used of TFP stands in `private_tfp_apis.py`.
"""

from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from tf_resflow import errors

# Keras turns an error within `call` into one of many lines and, where it cannot
# make one of its class from a message alone, into a RuntimeError. There is no
# public way to say that an error is clear as it is; Keras takes those with this
# attribute for wrapped already.
errors.InvalidValueError._keras_call_info_injected = True  # pylint: disable=protected-access


def as_it_is(error: Exception) -> Exception:
  """Returns an error that Keras hands on as it is, for the reason above."""
  error._keras_call_info_injected = True  # pylint: disable=protected-access
  return error


def allow_frequent_tracing(function: Callable) -> Callable:
  """Returns a `tf.function` that may be traced often without a warning.

  One function is traced once per shape for many layers, or once per
  evaluation: that is meant, but TensorFlow warns of it and has no public way
  to say so.
  """
  function._omit_frequent_tracing_warning = True  # pylint: disable=protected-access
  return function


def sublayers(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
  """Yields a Keras layer and all layers within it.

  Keras has no public way to walk through the layers of any layer: `layers` is
  an attribute of models alone.
  """
  return layer._flatten_layers()  # pylint: disable=protected-access


class SharedNumbers:
  """A mixin for Keras optimizers whose updates share numbers.

  Keras hands `update_step` of every variable the learning rate, and has no
  public place between the gradients and these updates. What `shared_numbers`
  returns, computed once, is handed on in place of the rate.
  """

  def shared_numbers(
      self, learning_rate: tf.Tensor, dtype: tf.DType) -> dict[str, tf.Tensor]:
    """Returns what `update_step` of every variable gets; to be defined."""
    raise NotImplementedError

  def _backend_update_step(self, grads, trainable_variables, learning_rate):
    super()._backend_update_step(
        grads, trainable_variables, self.shared_numbers(
            learning_rate, tf.as_dtype(trainable_variables[0].dtype)))


def adam_moments(
    optimizer: keras.optimizers.Adam, variable: keras.Variable | tf.Variable
) -> tuple[tf.Variable, tf.Variable]:
  """Returns the variables of Adam's first and second moment of a variable.

  Keras has no public way from a variable to what an optimizer keeps for it.
  """
  # pylint: disable=protected-access
  index = optimizer._get_variable_index(variable)
  return optimizer._momentums[index].value, optimizer._velocities[index].value
