"""Invertible downsampling."""

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection


@base_layer.configured
class Squeeze(bijection.Bijection):
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
    >>> bijectors.Squeeze([8, 8, 1]).forward(tf.zeros([5, 8, 8, 1])).shape
    TensorShape([5, 4, 4, 4])

  References:
    Dinh et al., 2017, Real NVP, Section 3.6.
  """

  keeps_shape = False
  slopes = bijection.SlopeBounds(1.0, 1.0)

  def __init__(self, factor: int = 2, **kwargs):
    super().__init__(**kwargs)
    self.factor = factor

  def build(self, input_shape: tuple) -> None:
    height, width = input_shape[1:3]
    errors.check(
        height % self.factor == 0 and width % self.factor == 0, 'input_shape',
        tuple(input_shape), f'a height and width divisible by {self.factor}')

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    height, width, channels = x.shape[1:]
    r = self.factor
    y = tf.transpose(
        tf.reshape(x, [-1, height // r, r, width // r, r, channels]),
        [0, 1, 3, 5, 2, 4])
    return bijection.PassResult(
        tf.reshape(y, [-1, height // r, width // r, channels * r * r]),
        bijection.zero_log_det(x))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    height, width, channels = y.shape[1:]
    r = self.factor
    x = tf.transpose(
        tf.reshape(y, [-1, height, width, channels // (r * r), r, r]),
        [0, 1, 4, 2, 5, 3])
    return bijection.PassResult(
        tf.reshape(x, [-1, height * r, width * r, channels // (r * r)]),
        bijection.zero_log_det(y))

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    batch, height, width, channels = input_shape
    r = self.factor
    return (batch, height // r, width // r, channels * r * r)
