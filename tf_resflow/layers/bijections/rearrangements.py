"""Rearrangements: bijections that reshape or permute the entries of events."""

from collections.abc import Sequence
import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings


class Rearrangement(bijection.Bijection):
  """The same entries in another shape or order; the log-determinant is 0."""

  slopes = bijection.BiLipschitzBounds(1.0, 1.0)

  def rearrange(self, x: tf.Tensor) -> tf.Tensor:
    """Returns `f(x)`; by default `x` itself."""
    return x

  def restore(self, y: tf.Tensor) -> tf.Tensor:
    """Returns `x` with `f(x) = y`."""
    return y

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    return PassResult(self.rearrange(x), bijection.zero_log_det(x))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    return PassResult(self.restore(y), bijection.zero_log_det(y))


@base_layer.configured
class Flatten(Rearrangement):
  """Flattens `[H, W, C] -> [H W C]`, in this order; the log-determinant is 0.
  """

  keeps_shape = False

  def build(self, input_shape: tuple) -> None:
    self.event_shape = tuple(input_shape[1:])

  def rearrange(self, x: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, [tf.shape(x)[0], math.prod(self.event_shape)])

  def restore(self, y: tf.Tensor) -> tf.Tensor:
    return tf.reshape(y, [tf.shape(y)[0], *self.event_shape])

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return input_shape[0], math.prod(input_shape[1:])


@base_layer.configured
class Squeeze(Rearrangement):
  """Space to depth: `[H, W, C] -> [H/r, W/r, C r^2]`.

  Channels of the result are ordered (channel, row, column):
  `y[i, j, c r^2 + a r + b] = x[i r + a, j r + b, c]`. `tf.nn.space_to_depth`
  orders them (row, column, channel) instead. The log-determinant is 0.

  Args:
    factor: `r`.

  Example:
    >>> layers.Squeeze()(tf.zeros([5, 8, 8, 1])).shape
    TensorShape([5, 4, 4, 4])

  References:
    Dinh et al., 2017, Real NVP, Section 3.6.
  """

  keeps_shape = False

  def __init__(self, factor: int = 2, **kwargs):
    super().__init__(**kwargs)
    self.factor = factor

  def build(self, input_shape: tuple) -> None:
    height, width = input_shape[1:3]
    errors.check(
        height % self.factor == 0 and width % self.factor == 0, 'input_shape',
        tuple(input_shape), f'a height and width divisible by {self.factor}')

  def rearrange(self, x: tf.Tensor) -> tf.Tensor:
    height, width, channels = x.shape[1:]
    r = self.factor
    y = tf.transpose(
        tf.reshape(x, [-1, height // r, r, width // r, r, channels]),
        [0, 1, 3, 5, 2, 4])
    return tf.reshape(y, [-1, *self.compute_output_shape(x.shape)[1:]])

  def restore(self, y: tf.Tensor) -> tf.Tensor:
    height, width, channels = y.shape[1:]
    r = self.factor
    x = tf.transpose(
        tf.reshape(y, [-1, height, width, channels // (r * r), r, r]),
        [0, 1, 4, 2, 5, 3])
    return tf.reshape(x, [-1, height * r, width * r, channels // (r * r)])

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    batch, height, width, channels = input_shape
    r = self.factor
    return (batch, height // r, width // r, channels * r * r)


@base_layer.configured
class FeatureTap(Rearrangement):
  """The identity, which also returns its input as a feature.

  One pass thus computes the density and the features of a classifier.

  Args:
    shape: event shape of the feature; that of the input by default.

  Example:
    >>> layers.FeatureTap().transform(tf.zeros([5, 2])).features[0].shape
    TensorShape([5, 2])
  """

  def __init__(self, shape: Sequence[int] | None = None, **kwargs):
    super().__init__(**kwargs)
    self.shape = None if shape is None else tuple(shape)

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    feature = x if self.shape is None else tf.reshape(
        x, [tf.shape(x)[0], *self.shape])
    return super().forward_pass(x, settings)._replace(features=(feature,))
