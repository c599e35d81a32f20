"""The classifier head of hybrid models."""

import keras
import tensorflow as tf

from tf_resflow.layers import act_norm


@keras.saving.register_keras_serializable('tf_resflow')
class ClassifierHead(keras.layers.Layer):
  """3 x 3 convolution, ActNorm, ReLU, mean over positions.

  Maps the features `[B, H, W, C]` of one scale of a flow to `[B, channels]`.
  It is no part of the bijection, so nothing in it is constrained.

  Args:
    channels: number of outputs.
    seed: Python int that makes the initial kernel deterministic.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.ClassifierHead(16)(tf.ones([2, 4, 4, 3])).shape
    TensorShape([2, 16])

  References:
    Chen et al., 2019, Residual Flows, Section 5.4 and Appendix E.
  """

  def __init__(self, channels=256, seed=None, **kwargs):
    super().__init__(**kwargs)
    self.channels = channels
    self.seed = seed
    dtype = self.compute_dtype
    self.conv = keras.layers.Conv2D(
        channels, 3, padding='same', name='conv', dtype=dtype,
        kernel_initializer=keras.initializers.GlorotUniform(seed))
    self.act_norm = act_norm.ActNorm(name='act_norm', dtype=dtype)

  def build(self, input_shape):
    self.conv.build(input_shape)
    self.act_norm.build((*input_shape[:-1], self.channels))

  def call(self, inputs):
    x = tf.nn.relu(self.act_norm(self.conv(inputs)))
    return tf.reduce_mean(x, axis=[1, 2])

  def compute_output_shape(self, input_shape):
    return (input_shape[0], self.channels)

  def get_config(self):
    return super().get_config() | {
        'channels': self.channels,
        'seed': self.seed,
    }
