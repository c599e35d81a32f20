"""Convex potential layers (CPL): residual layers with Lipschitz bound 1."""

from collections.abc import Iterable, Sequence
import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import container
from tf_resflow.layers.lipschitz import linear as linear_lib
from tf_resflow.layers.lipschitz import potential_step


@base_layer.configured
class CPL(potential_step.PotentialStep, container.LipschitzContainer):
  """`y = x - 2 W k^-1 s(k (W^T x + b))`, of Lipschitz constant 1 in l_2.

  `x -> W^T x + b` is a constrained linear layer, `k > 0` learned and diagonal,
  `s` softplus. A difference `d` of inputs becomes `d - 2 W u`, where `u_i` lies
  between 0 and `(W^T d)_i`, and

    |d - 2 W u|^2 <= |d|^2 - 4 (W^T d - u)^T u <= |d|^2    if |W| <= 1.

  With `|W| = c > 1` the constant is at most `2 c^2 - 1`, by which certificates
  follow from that of the linear layer. `SLL` needs no norm, for a diagonal `T`
  that is larger.

  Args:
    linear: a dense layer or a convolution, from l_2 to l_2, such as
      `SpectralDense`; its outputs are the entries of `b`.
    num_channels: channels of `y`; if it has more than `x`, zeros are appended
      to that. By default as many.
    sharpness: initial `k`; without `k`, softplus of entries below 1 would be
      nearly linear.

  Example:
    >>> layer = layers.CPL(layers.SpectralDense(8))
    >>> layer(tf.ones([2, 3])).shape, layer.lipschitz_bound
    (TensorShape([2, 3]), 1.0)
    >>> layer = layers.CPL(layers.SpectralConv2D(8, 3), num_channels=4)
    >>> layer(tf.ones([2, 5, 5, 3])).shape
    TensorShape([2, 5, 5, 4])

  References:
    Meunier, Delattre, Araujo, Allauzen, 2022, A Dynamical System Perspective
    for Lipschitz Neural Networks.
  """

  def __init__(self, linear: linear_lib.LinearLayer,
               num_channels: int | None = None, sharpness: float = 3.0,
               **kwargs):
    super().__init__([linear], **kwargs)
    errors.check(
        linear.absorbs_scales and linear.domain == linear.codomain == 2.0,
        'linear', linear, 'a constrained linear layer from l_2 to l_2')
    self.linear = linear
    self.num_channels = num_channels
    self.sharpness = sharpness

  @property
  def width(self) -> int:
    """The number of outputs of the linear layer."""
    return self.linear.kernel.shape[-1]

  def build(self, input_shape: tuple) -> None:
    self.check_input(input_shape)
    *_, self.num_inputs = input_shape
    super().build(input_shape)
    self.log_k = self.add_weight(
        name='log_k', shape=(self.width,), initializer=lambda shape, dtype:
        tf.fill(shape, tf.constant(math.log(self.sharpness), dtype)))

  def shapes(self, input_shape: tuple) -> Iterable[tuple]:
    shape = self.compute_output_shape(input_shape)
    return shape, shape

  def combine(self, constants: Sequence[float]) -> float:
    return max(1.0, 2.0 * constants[0]**2 - 1.0)

  def certificate(self, target: float = 1.0) -> numerics.Certificate:
    return super().certificate(max(target, 1.0))  # It is 1 at least.

  def effective_weights(self, variables: Tensors, norms: Tensors) -> Tensors:
    (kernel, *biases), log_k = super().effective_weights(variables, norms)
    k = tf.exp(log_k)
    return [kernel[..., :self.num_inputs, :] * k, 2.0 * kernel / k,
            k * sum(biases)]
