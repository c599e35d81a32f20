"""Another shape of the same numbers."""

from collections.abc import Sequence
import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow.layers.lipschitz import elementwise


@keras.saving.register_keras_serializable('tf_resflow')
class Reshape(elementwise.Elementwise):
  """Reshapes events, which keeps every norm.

  Args:
    target_shape: of an event; `(-1,)` flattens it.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.Reshape((-1,))(tf.zeros([5, 4, 4, 2])).shape
    TensorShape([5, 32])
  """

  lipschitz_bound = 1.0

  def __init__(self, target_shape: Sequence[int], **kwargs):
    super().__init__(**kwargs)
    self.target_shape = tuple(target_shape)

  def evaluate(self, weights: Any, x: tf.Tensor) -> tf.Tensor:
    size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    return tf.reshape(x, [size, *self.compute_output_shape(x.shape)[1:]])

  def compute_output_shape(self, input_shape: Sequence) -> tuple:
    size = math.prod(input_shape[1:])
    return (input_shape[0], *(
        size if n == -1 else n for n in self.target_shape))

  def get_config(self) -> dict:
    return super().get_config() | {'target_shape': self.target_shape}
