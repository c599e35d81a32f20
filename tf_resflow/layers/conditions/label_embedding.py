"""Labels as conditions."""

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec
from tf_resflow.layers.conditions import condition_network


@base_layer.configured
class LabelEmbedding(condition_network.ConditionNetwork):
  """One learned vector of numbers for every label; NaN for other numbers.

  Args:
    num_labels: labels are whole numbers from 0 to `num_labels - 1`.
    size: `K`, numbers of a vector, which begin standard normal.
    seed: Python int that makes these deterministic.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.LabelEmbedding(10, 4)(tf.constant([3, 1])).shape
    TensorShape([2, 4])
  """

  def __init__(self, num_labels: int, size: int, seed: int | None = None,
               **kwargs):
    super().__init__(**kwargs)
    errors.check(num_labels > 0, 'num_labels', num_labels, 'a number from 1')
    errors.check(size > 0, 'size', size, 'a number from 1')
    self.num_labels = num_labels
    self.size = size
    self.seed = seed
    self.condition_spec = condition_spec.ConditionSpec((), num_labels)

  def build(self, input_shape: tuple) -> None:
    self.vectors = self.add_weight(
        name='vectors', shape=(self.num_labels, self.size),
        initializer=keras.initializers.RandomNormal(stddev=1.0, seed=self.seed))

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    # Unlike that of tf.gather, the gradient of a product is a plain tensor.
    rows = tf.linalg.matmul(
        tf.one_hot(inputs, self.num_labels, dtype=self.compute_dtype),
        tf.convert_to_tensor(self.vectors.value))
    is_known = (inputs >= 0) & (inputs < self.num_labels)
    return tf.where(
        is_known[:, tf.newaxis], rows, tf.constant(float('nan'), rows.dtype))
