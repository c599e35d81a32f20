"""Events as vectors."""

import math

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection


@base_layer.configured
class Flatten(bijection.Bijection):
  """`[..., H, W, C] -> [H W C]`, in this order; the log-determinant is 0.

  Example:
    >>> flatten = layers.Flatten()
    >>> y, log_det = flatten.forward_and_log_det(tf.zeros([5, 2, 2, 3]))
    >>> y.shape, flatten.inverse(y).shape
    (TensorShape([5, 12]), TensorShape([5, 2, 2, 3]))
  """

  keeps_shape = False
  slopes = bijection.SlopeBounds(1.0, 1.0)

  def build(self, input_shape: tuple) -> None:
    self.event_shape = tuple(input_shape[1:])

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    return bijection.PassResult(
        tf.reshape(x, [tf.shape(x)[0], math.prod(self.event_shape)]),
        bijection.zero_log_det(x))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    return bijection.PassResult(
        tf.reshape(y, [tf.shape(y)[0], *self.event_shape]),
        bijection.zero_log_det(y))

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return input_shape[0], math.prod(input_shape[1:])
