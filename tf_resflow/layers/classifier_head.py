"""The classifier of hybrid models."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import normalization


@base_layer.configured
class ClassifierHead(keras.layers.Layer):
  """A 3 x 3 convolution, ActNorm, ReLU, and the mean over positions.

  Maps the features `[B, H, W, C]` of one scale of a flow to `[B, channels]`.
  It is not part of the bijection, so its norms are not constrained.

  Args:
    channels: number of outputs.
    seed: Python int that makes the initial kernel deterministic.
  """

  def __init__(self, channels: int = 256, seed: int | None = None, **kwargs):
    super().__init__(**kwargs)
    self.channels = channels
    self.seed = seed
    self.act_norm = normalization.ActNorm(
        name='act_norm', dtype=self.compute_dtype)

  def build(self, input_shape: tuple) -> None:
    self.conv = keras.layers.Conv2D(
        self.channels, 3, padding='same', name='conv', dtype=self.compute_dtype,
        **base_layer.uniform_initializers(9 * input_shape[-1], self.seed))
    self.conv.build(input_shape)
    self.act_norm.build((*input_shape[:-1], self.channels))

  @property
  def is_initialized(self) -> bool:
    """Whether a first batch has initialised the ActNorm."""
    return self.act_norm.is_initialized

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return tf.reduce_mean(
        tf.nn.relu(self.act_norm(self.conv(inputs))), axis=[1, 2])


@base_layer.configured
class HybridClassifier(keras.layers.Layer):
  """A `ClassifierHead` for every feature of a flow, and one dense layer.

  Args:
    num_classes: number of logits.
    head_channels: channels of every head.
    seed: Python int that makes the initial weights deterministic.

  Example:
    >>> classifier = layers.HybridClassifier(10, 16)
    >>> classifier([tf.ones([2, 4, 4, 3]), tf.ones([2, 2, 2, 12])]).shape
    TensorShape([2, 10])

  References:
    Chen et al., 2019, Residual Flows, Section 5.4 and Appendix E.
  """

  def __init__(self, num_classes: int, head_channels: int = 256,
               seed: int = 0, **kwargs):
    super().__init__(**kwargs)
    self.num_classes = num_classes
    self.head_channels = head_channels
    self.seed = seed

  def build(self, input_shape: Sequence[Sequence]) -> None:
    heads = [
        ClassifierHead(self.head_channels, seed=self.seed + i, name=f'head_{i}',
                       dtype=self.compute_dtype)
        for i in range(len(input_shape))]
    for head, shape in zip(heads, input_shape, strict=True):
      head.build(tuple(shape))
    size = self.head_channels * len(heads)
    self.dense = keras.layers.Dense(
        self.num_classes, name='dense', dtype=self.compute_dtype,
        **base_layer.uniform_initializers(size, self.seed))
    self.dense.build((None, size))
    self.heads = base_layer.track(self, heads)

  @property
  def is_initialized(self) -> bool:
    """Whether a first batch has initialised the ActNorms of the heads."""
    return all(head.is_initialized for head in self.heads)

  def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
    return self.dense(tf.concat(
        [head(x) for head, x in zip(self.heads, inputs, strict=True)], axis=1))
