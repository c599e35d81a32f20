"""What a network of conditions is."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec as spec_lib
from tf_resflow.layers.lipschitz import keras_layer


class ConditionNetwork(base_layer.BaseLayer):
  """Maps conditions to what enters a flow: numbers `[B, K]`, its features.

  Kinds define `build` and `call`, and set two attributes.

  Attributes:
    condition_spec: what conditions are, a `layers.ConditionSpec`.
    size: `K`.

  Example:
    >>> network = layers.LabelEmbedding(num_labels=10, size=4)
    >>> network(tf.constant([3, 1])).shape
    TensorShape([2, 4])
  """

  condition_spec: spec_lib.ConditionSpec
  size: int

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return input_shape[0], self.size


@base_layer.configured
class KerasNetwork(ConditionNetwork):
  """Any Keras layer or model as a network of conditions.

  Args:
    layer: maps conditions `[B, ...]` to `[B, K]`, example by example.
    condition_shape: that of the condition of one example.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of `layer`.

  Raises:
    InvalidValueError: if the layer returns another shape, or contains batch
      normalisation, dropout or the like.

  Example:
    >>> network = layers.KerasNetwork(keras.Sequential(
    ...     [keras.layers.Conv2D(8, 3), keras.layers.GlobalMaxPooling2D()]),
    ...     condition_shape=[6, 6, 1])
    >>> network(tf.zeros([2, 6, 6, 1])).shape
    TensorShape([2, 8])
  """

  def __init__(self, layer: keras.layers.Layer, condition_shape: Sequence[int],
               **kwargs):
    kwargs.setdefault('dtype', layer.compute_dtype)
    super().__init__(**kwargs)
    keras_layer.check_is_function(
        layer, 'condition_network', 'It would not be trained, and its moving '
        'statistics not moved: remove that layer.')
    self.layer = layer
    self.condition_shape = tuple(condition_shape)
    self.condition_spec = spec_lib.ConditionSpec(self.condition_shape)
    self.build((None, *self.condition_shape))

  def build(self, input_shape: tuple) -> None:
    base_layer.build_once(self.layer, input_shape)
    shape = tuple(self.layer.compute_output_spec(
        keras.KerasTensor(input_shape, dtype=self.compute_dtype)).shape)
    errors.check(
        len(shape) == 2 and shape[1] is not None, 'condition_network',
        self.layer.name, f'outputs [B, K] for conditions '
        f'{list(self.condition_shape)}, not {list(shape)}')
    self.size = shape[1]
    self.built = True

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.layer(inputs)
