"""Convolution with a bounded operator norm."""

from collections.abc import Sequence

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.layers.lipschitz import spectral
from tf_resflow.numerics import convolution


@base_layer.configured
class SpectralConv2D(spectral.SpectralLayer):
  """Convolution (stride 1, zero padding 'SAME') with norm at most `coeff`.

  The norm is that of the linear map from `[H, W, c_in]` to `[H, W, c_out]` at
  the layer's spatial size; the norm of the flattened kernel is not a bound of
  it. The layer therefore needs a static spatial size.

  Args:
    filters: number of output channels.
    kernel_size: odd integer or a pair of odd integers.
    coeff: bound of the operator norm, in (0, 1).
    use_bias: whether to add a bias per channel.
    kernel_initializer: Keras initializer; None is U(+-1/sqrt(fan_in)).
    bias_initializer: the same for the bias.
    num_vectors: block size of the power iteration.
    tolerance: its relative residual.
    max_power_iterations: its largest number of steps per call.
    seed: Python int that makes the default initializers deterministic.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layer = layers.SpectralConv2D(8, 3, coeff=0.9)
    >>> layer(tf.ones([2, 6, 6, 1])).shape
    TensorShape([2, 6, 6, 8])

  References:
    Gouk et al., 2018, Regularisation of Neural Networks by Enforcing Lipschitz
    Continuity; Chen et al., 2019, Appendix E.
  """

  def __init__(self, filters: int, kernel_size: int | Sequence[int],
               coeff: float = 0.98, **kwargs):
    super().__init__(coeff=coeff, **kwargs)
    self.filters = filters
    self.kernel_size = (
        (kernel_size, kernel_size) if isinstance(kernel_size, int)
        else tuple(kernel_size))
    errors.check(
        len(self.kernel_size) == 2 and all(k % 2 for k in self.kernel_size),
        'kernel_size', self.kernel_size, 'one or two odd integers',
        'Zero padding is then symmetric.')

  def build(self, input_shape: tuple) -> None:
    errors.check(
        len(input_shape) == 4 and None not in input_shape[1:], 'input_shape',
        tuple(input_shape), 'a static [B, H, W, C]',
        'The norm of a SpectralConv2D depends on the spatial size.')
    self.spatial_shape = tuple(input_shape[1:3])
    self._add_weights((*self.kernel_size, input_shape[-1], self.filters))

  def evaluate(
      self, weights: lipschitz_layer.Tensors, x: tf.Tensor) -> tf.Tensor:
    errors.check(
        tuple(x.shape[1:3]) == self.spatial_shape, 'inputs', tuple(x.shape),
        f'images of {" x ".join(map(str, self.spatial_shape))} in {self.name}',
        'The norm depends on the size: use one layer per spatial size.')
    kernel, *biases = weights
    outputs = convolution.conv2d(x, kernel, for_cpu=self.is_on_cpu)
    # Unlike a sum, this is fused into the convolution.
    return tf.nn.bias_add(outputs, biases[0]) if biases else outputs

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], self.filters)
