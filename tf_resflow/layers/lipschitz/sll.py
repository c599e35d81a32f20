"""SDP-based Lipschitz layers (SLL): residual layers with Lipschitz bound 1."""

from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import potential_step

# Added to `t`: kernels that are smaller than its root let `x` pass.
_EPSILON = 1e-6
# Kernels are divided by their largest entry or this: zeros remain zeros.
_SMALLEST = 1e-30


@base_layer.configured
class SLL(potential_step.PotentialStep):
  """`y = x - 2 W T^-1 s(W^T x + b)`, of Lipschitz constant 1 in l_2.

  `T` is diagonal, with learned weights `q > 0`,

    t_i = sum_j |W^T W|_ij q_j / q_i.

  Then `W^T W <= T`, since `T - W^T W` is diagonally dominant if its columns are
  scaled by `q`. A difference `d` of inputs becomes `d - 2 W T^-1 u`, where
  `u_i` lies between 0 and `(W^T d)_i` if `s` has slopes in [0, 1], so that

    |d - 2 W T^-1 u|^2 <= |d|^2 - 4 (W^T d - u)^T T^-1 u <= |d|^2.

  No norm is iterated, and there is nothing to certify. `s` is softplus; that of
  the paper, ReLU, has no second derivative, which log-determinants need.

  On images `x -> W^T x` is a convolution with zero padding, and `W` its
  transpose. Zero padding is a compression of the convolution on an unbounded
  image, whose `W^T W` is that of the autocorrelation of the kernel, so the sums
  of absolute values of that bound every size. (The entries of `W^T W` at a
  border may be larger than those inside.)

  The layer begins with `W` of size `scale` and, up to a width of as many
  channels as `y` has, orthogonal columns, at the middle of the kernel: there
  `T` is not larger than it has to be. `T` takes the size of `W` away, which
  remains in how sharply `s` bends.

  Args:
    width: number of entries of `b`.
    kernel_size: odd size of the kernel, for images.
    num_channels: channels of `y`; if it has more than `x`, zeros are appended
      to that. By default as many.
    scale: size of the initial kernel.
    seed: Python int that makes the initial weights deterministic.

  Example:
    >>> layer = layers.SLL(8)
    >>> layer(tf.ones([2, 3])).shape, layer(tf.ones([2, 3])).dtype
    (TensorShape([2, 3]), tf.float32)
    >>> layers.SLL(8, num_channels=4)(tf.ones([2, 5, 5, 3])).shape
    TensorShape([2, 5, 5, 4])

  References:
    Araujo, Havens, Delattre, Allauzen, Hu, 2023, A Unified Algebraic
    Perspective on Lipschitz Neural Networks, Theorem 3.
  """

  lipschitz_bound = 1.0

  def __init__(self, width: int, kernel_size: int = 3,
               num_channels: int | None = None, scale: float = 3.0,
               seed: int | None = None, **kwargs: Any):
    super().__init__(**kwargs)
    errors.check(kernel_size % 2, 'kernel_size', kernel_size, 'an odd integer')
    self.width = width
    self.kernel_size = kernel_size
    self.num_channels = num_channels
    self.scale = scale
    self.seed = seed

  def build(self, input_shape: tuple) -> None:
    self.check_input(input_shape)
    sizes = (self.kernel_size,) * (len(input_shape) - 2)
    *_, self.num_inputs = input_shape
    shape = (self.num_channels or self.num_inputs, self.width)
    middle = [[size // 2] * 2 for size in sizes] + [[0, 0]] * 2
    self.kernel = self.add_weight(
        name='kernel', shape=(*sizes, *shape),
        initializer=lambda _, dtype: tf.pad(tf.reshape(
            keras.initializers.Orthogonal(self.scale, self.seed)(shape, dtype),
            (*[1] * len(sizes), *shape)), middle))
    self.bias = self.add_weight(
        name='bias', shape=(self.width,),
        initializer=keras.initializers.RandomUniform(
            -1.0, 1.0, base_layer.shifted_seed(self.seed, 1)))
    self.log_q = self.add_weight(
        name='log_q', shape=(self.width,), initializer='zeros')

  def effective_weights(self, variables: Tensors, norms: Tensors) -> Tensors:
    kernel, bias, log_q = variables
    q = tf.exp(log_q)
    # `2 W / (t + epsilon)`, whose squares neither overflow nor vanish so.
    size = tf.maximum(
        tf.reduce_max(tf.abs(tf.stop_gradient(kernel))), _SMALLEST)
    unit = kernel / size
    t = tf.linalg.matvec(_absolute_gram(unit), q) / q
    return [kernel[..., :self.num_inputs, :],
            2.0 * unit / (size * t + _EPSILON / size), bias]


def _absolute_gram(kernel):
  """Returns sums over shifts of `|W^T W|`, `[width, width]`."""
  k = kernel.shape[0] if kernel.shape.rank == 4 else 1
  kernel = tf.reshape(kernel, [k, k, *kernel.shape[-2:]])
  images = tf.pad(tf.transpose(kernel, [3, 0, 1, 2]),
                  [[0, 0], [k - 1, k - 1], [k - 1, k - 1], [0, 0]])
  return tf.reduce_sum(
      tf.abs(tf.nn.conv2d(images, kernel, 1, 'VALID')), axis=[1, 2])
