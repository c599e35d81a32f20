"""Linear layers as such: a kernel, a bias, and what they map."""

from collections.abc import Sequence
import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import convolution


class LinearLayer(lipschitz_layer.LipschitzLayer):
  """A linear map of bounded norm, and a bias.

  Its form, `Dense` or `Conv2D`, says what a kernel does with inputs; a subclass
  says by what the kernel is divided, in `converge_norms` and
  `effective_weights`, which returns the kernel first and then the bias, if
  there is one.

  Args:
    coeff: bound of the operator norm, in (0, 1).
    use_bias: whether to add a bias, one number per output channel.
    kernel_initializer: Keras initializer; None is U(+-1/sqrt(fan_in)).
    bias_initializer: the same for the bias.
    seed: Python int that makes the default initializers deterministic.
    **kwargs: of `keras.layers.Layer`.
  """

  num_constrained = 1
  absorbs_scales = True
  # `(H, W)` of a convolution, None for a dense layer.
  spatial_shape: tuple[int, int] | None = None

  def __init__(
      self, coeff: float = 0.98, use_bias: bool = True,
      kernel_initializer: Any = None, bias_initializer: Any = None,
      seed: int | None = None, **kwargs):
    super().__init__(**kwargs)
    errors.check(0.0 < coeff < 1.0, 'coeff', coeff,
                 'a number strictly between 0 and 1')
    self._coeff = coeff
    self.use_bias = use_bias
    self.kernel_initializer = keras.initializers.get(kernel_initializer)
    self.bias_initializer = keras.initializers.get(bias_initializer)
    self.seed = seed

  @property
  def coeff(self) -> float:
    """The bound of the operator norm; it is fixed, since graphs hold it."""
    return self._coeff

  @property
  def lipschitz_bound(self) -> float:
    """The bound that every call keeps: `coeff`."""
    return self.coeff

  @property
  def num_outputs(self) -> int:
    return math.prod(self.spatial_shape or ()) * self.kernel.shape[-1]

  @property
  def num_multiply_adds(self) -> int:
    return self.num_outputs * math.prod(self.kernel.shape[:-1])

  def seeded(self, offset: int) -> int | None:
    """Returns a seed of an initializer, the same in every run if one is set."""
    return None if self.seed is None else self.seed + offset

  def add_weights(self, kernel_shape: tuple) -> None:
    """Adds the kernel and the bias: U(+-1/sqrt(fan_in)) unless told otherwise.

    Subclasses add what follows the norm of the kernel.

    Args:
      kernel_shape: `[in, out]` or `[kh, kw, in, out]`.
    """
    limit = math.prod(kernel_shape[:-1])**-0.5
    self.kernel = self.add_weight(
        name='kernel', shape=kernel_shape,
        initializer=self.kernel_initializer or
        keras.initializers.RandomUniform(-limit, limit, seed=self.seeded(0)))
    self.bias = None
    if self.use_bias:
      self.bias = self.add_weight(
          name='bias', shape=kernel_shape[-1:],
          initializer=self.bias_initializer or
          keras.initializers.RandomUniform(-limit, limit, seed=self.seeded(1)))

  def normalized_kernel(self) -> tf.Tensor:
    """Returns the kernel that the layer computes with."""
    variables, state = self.tensors()
    return self.effective_weights(
        variables, self.converge_norms(variables, state))[0]


class Dense(lipschitz_layer.LipschitzLayer):
  """The form of a dense layer, `x -> x W + b`; to put before a `LinearLayer`.

  Args:
    units: number of outputs.
    coeff: bound of the operator norm, in (0, 1).
    **kwargs: of the `LinearLayer`.
  """

  def __init__(self, units: int, coeff: float = 0.98, **kwargs):
    super().__init__(coeff=coeff, **kwargs)
    self.units = units

  def build(self, input_shape: tuple) -> None:
    self.add_weights((input_shape[-1], self.units))

  def evaluate(
      self, weights: lipschitz_layer.Tensors, x: tf.Tensor) -> tf.Tensor:
    kernel, *biases = weights
    outputs = tf.linalg.matmul(x, kernel)
    return outputs + biases[0] if biases else outputs

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], self.units)


class Conv2D(lipschitz_layer.LipschitzLayer):
  """The form of a convolution (stride 1, zero padding 'SAME'); see `Dense`.

  Args:
    filters: number of output channels.
    kernel_size: odd integer or a pair of odd integers.
    coeff: bound of the operator norm, in (0, 1).
    **kwargs: of the `LinearLayer`.
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
        f'The norm of a {type(self).__name__} depends on the spatial size.')
    self.spatial_shape = tuple(input_shape[1:3])
    self.add_weights((*self.kernel_size, input_shape[-1], self.filters))

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
