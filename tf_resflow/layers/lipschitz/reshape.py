"""Another shape of the same numbers."""

from collections.abc import Sequence
import math

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import lipschitz_layer


@base_layer.configured
class Reshape(lipschitz_layer.Elementwise):
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

  def evaluate(self, weights: base_layer.Tensors, x: tf.Tensor) -> tf.Tensor:
    size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    return tf.reshape(x, [size, *self.compute_output_shape(x.shape)[1:]])

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (input_shape[0], *(
        math.prod(input_shape[1:]) if n == -1 else n
        for n in self.target_shape))
