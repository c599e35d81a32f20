"""The matrix by which a condition enters a layer."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec as spec_lib


class ConditionMatrix(base_layer.BaseLayer):
  """A layer that takes conditions `[B, K]`, which a matrix `W` multiplies.

  A mixin. What is done with `W c` is up to the layer.

  Args:
    condition_size: `K`, numbers of a condition.
    kernel_initializer: Keras initializer of `W`; zeros, the default, make no
      difference at first.
    **kwargs: of `keras.layers.Layer`.

  Raises:
    InvalidValueError: if there are no numbers.
  """

  def __init__(
      self, condition_size: int, kernel_initializer: Any = 'zeros', **kwargs):
    super().__init__(**kwargs)
    errors.check(
        isinstance(condition_size, (int, np.integer)) and condition_size > 0,
        'condition_size', condition_size, 'a number from 1')
    self.condition_size = int(condition_size)
    self.condition_spec = spec_lib.ConditionSpec((self.condition_size,))
    self.kernel_initializer = keras.initializers.get(kernel_initializer)

  def add_matrix(self, size: int) -> None:
    """Adds `W`, `[K, size]`."""
    self.kernel = self.add_weight(
        name='condition_kernel', shape=(self.condition_size, size),
        initializer=self.kernel_initializer)

  def project(self, condition: Any) -> tf.Tensor:
    """Returns `W c`, `[B, size]`, or `[1, size]` for all examples.

    Raises:
      InvalidValueError: if it is no such condition, see `ConditionSpec`.
    """
    return tf.linalg.matmul(
        self.condition_spec.as_tensor(condition, self.compute_dtype),
        tf.convert_to_tensor(self.kernel.value))
