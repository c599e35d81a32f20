"""Steps down a convex potential, the residual layers of Lipschitz bound 1."""

import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import convolution


class PotentialStep(lipschitz_layer.LipschitzLayer):
  """Mixin of `y = x - A s(B^T x + b)`, where `A` has the shape of `B`.

  `s` is softplus; ReLU, that of the papers, has no second derivative, which
  log-determinants need. Effective weights are `B`, `A` and `b`. Where `x` has
  fewer channels than `y`, zeros are appended to it, and `B` has no rows for
  these.

  Attributes:
    num_channels: channels of `y`; None for as many as `x` has.
    width: entries of `b`.
  """

  num_channels: int | None
  width: int

  def check_input(self, input_shape: tuple) -> None:
    """Raises `InvalidValueError` unless inputs are vectors or images."""
    errors.check(len(input_shape) in (2, 4), 'input_shape', input_shape,
                 '(B, C), or (B, H, W, C)')
    errors.check(
        (self.num_channels or input_shape[-1]) >= input_shape[-1],
        'num_channels', self.num_channels,
        f'at least {input_shape[-1]}, as many as the input has')

  def evaluate(self, weights: Tensors, x: tf.Tensor) -> tf.Tensor:
    kernel, scaled, bias = weights
    if kernel.shape.rank == 2:
      hidden = tf.nn.softplus(tf.matmul(x, kernel) + bias)
      change = tf.matmul(hidden, scaled, transpose_b=True)
    else:
      hidden = tf.nn.softplus(
          convolution.conv2d(x, kernel, self.is_on_cpu) + bias)
      change = convolution.conv2d_transpose(hidden, scaled, self.is_on_cpu)
    size = scaled.shape[-2] - x.shape[-1]
    if size:
      x = tf.pad(x, [[0, 0]] * (x.shape.rank - 1) + [[0, size]])
    return x - change

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], self.num_channels or input_shape[-1])

  def max_activation_size(self, input_shape: tuple) -> int:
    *shape, size = self.compute_output_shape(input_shape)
    return math.prod(shape[1:]) * max(size, self.width)
