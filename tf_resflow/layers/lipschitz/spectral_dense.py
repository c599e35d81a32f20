"""Dense layer with a bounded spectral norm."""

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.layers.lipschitz import spectral


@base_layer.configured
class SpectralDense(spectral.SpectralLayer):
  """`y = x W / max(1, |W|_2 / coeff) + b`.

  Args:
    units: number of outputs.
    coeff: bound of the spectral norm, in (0, 1).
    use_bias: whether to add `b`.
    kernel_initializer: Keras initializer; None is U(+-1/sqrt(fan_in)).
    bias_initializer: the same for the bias.
    num_vectors: block size of the power iteration.
    tolerance: its relative residual.
    max_power_iterations: its largest number of steps per call.
    seed: Python int that makes the default initializers deterministic.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layer = layers.SpectralDense(8, coeff=0.9)
    >>> layer(tf.ones([2, 3])).shape
    TensorShape([2, 8])

  References:
    Miyato et al., 2018; Gouk et al., 2018.
  """

  def __init__(self, units: int, coeff: float = 0.98, **kwargs):
    super().__init__(coeff=coeff, **kwargs)
    self.units = units

  def build(self, input_shape: tuple) -> None:
    self._add_weights((input_shape[-1], self.units))

  def evaluate(
      self, weights: lipschitz_layer.Tensors, x: tf.Tensor) -> tf.Tensor:
    kernel, *biases = weights
    outputs = tf.linalg.matmul(x, kernel)
    return outputs + biases[0] if biases else outputs

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], self.units)
