"""Convolution with a bounded operator norm."""

import keras
import tensorflow as tf

from tf_resflow.layers import spectral
from tf_resflow.numerics import convolution


@keras.saving.register_keras_serializable('tf_resflow')
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

  def __init__(self, filters, kernel_size, coeff=0.98, **kwargs):
    super().__init__(coeff=coeff, **kwargs)
    if isinstance(kernel_size, int):
      kernel_size = (kernel_size, kernel_size)
    self.filters = filters
    self.kernel_size = tuple(kernel_size)
    if len(self.kernel_size) != 2 or any(k % 2 != 1 for k in self.kernel_size):
      raise ValueError(
          f'kernel_size is {kernel_size}; expected one or two odd integers, '
          'so that zero padding is symmetric.')

  def build(self, input_shape):
    if len(input_shape) != 4 or None in input_shape[1:]:
      raise ValueError(
          f'SpectralConv2D got the input shape {tuple(input_shape)}; it needs '
          'a static [B, H, W, C], because the operator norm depends on the '
          'spatial size.')
    self._size = tuple(input_shape[1:3])
    self._add_weights((*self.kernel_size, input_shape[-1], self.filters))

  @property
  def spatial_shape(self):
    return self._size

  def call(self, inputs):
    if tuple(inputs.shape[1:3]) != self._size:
      raise ValueError(
          f'{self.name} got images of {inputs.shape[1]} x {inputs.shape[2]}, '
          f'but its operator norm is that at {self._size[0]} x '
          f'{self._size[1]}; use one layer per spatial size.')
    outputs = convolution.conv2d(inputs, self.normalized_kernel())
    if self.bias is not None:
      outputs += tf.convert_to_tensor(self.bias.value)
    return outputs

  def compute_output_shape(self, input_shape):
    return (*input_shape[:-1], self.filters)

  def get_config(self):
    return super().get_config() | {
        'filters': self.filters,
        'kernel_size': self.kernel_size,
    }
