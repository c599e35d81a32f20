"""Invertible downsampling."""

import keras
import tensorflow as tf

from tf_resflow.layers import invertible


@keras.saving.register_keras_serializable('tf_resflow')
class Squeeze(invertible.InvertibleLayer):
  """Space to depth: `[H, W, C] -> [H/r, W/r, C r^2]`.

  Channels of the result are ordered (channel, row, column):
  `y[i, j, c r^2 + a r + b] = x[i r + a, j r + b, c]`. `tf.nn.space_to_depth`
  orders them (row, column, channel) instead. The log-determinant is 0.

  Args:
    factor: `r`.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.Squeeze()(tf.zeros([5, 8, 8, 1])).shape
    TensorShape([5, 4, 4, 4])

  References:
    Dinh et al., 2017, Real NVP, Section 3.6.
  """

  def __init__(self, factor=2, **kwargs):
    super().__init__(**kwargs)
    self.factor = factor

  def build(self, input_shape):
    height, width = input_shape[1:3]
    if height % self.factor or width % self.factor:
      raise ValueError(
          f'Squeeze got images of {height} x {width}; both must be divisible '
          f'by {self.factor}.')

  def call(self, inputs):
    height, width, channels = inputs.shape[1:]
    r = self.factor
    x = tf.reshape(
        inputs, [-1, height // r, r, width // r, r, channels])
    x = tf.transpose(x, [0, 1, 3, 5, 2, 4])
    return tf.reshape(x, [-1, height // r, width // r, channels * r * r])

  def forward_and_log_det(self, x, seed=None):
    del seed
    return self(x), tf.zeros([tf.shape(x)[0]], x.dtype)

  def inverse(self, y):
    height, width, channels = y.shape[1:]
    r = self.factor
    x = tf.reshape(y, [-1, height, width, channels // (r * r), r, r])
    x = tf.transpose(x, [0, 1, 4, 2, 5, 3])
    return tf.reshape(x, [-1, height * r, width * r, channels // (r * r)])

  def compute_output_shape(self, input_shape):
    batch, height, width, channels = input_shape
    r = self.factor
    return (batch, height // r, width // r, channels * r * r)

  def get_config(self):
    return super().get_config() | {'factor': self.factor}
