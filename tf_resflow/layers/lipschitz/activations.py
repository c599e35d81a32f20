"""Activations (and a reshape) without variables, with Lipschitz bound 1."""

from collections.abc import Callable, Sequence
import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import lipschitz_layer


class NonexpansiveLayer(lipschitz_layer.LipschitzLayer):
  """A function without variables, with Lipschitz bound 1 in every l_p."""

  domain = codomain = None
  lipschitz_bound = 1.0
  _function: Callable[[tf.Tensor], tf.Tensor]

  def evaluate(self, weights: Tensors, x: tf.Tensor) -> tf.Tensor:
    return self._function(x)


@base_layer.configured
class ELU(NonexpansiveLayer):
  """ELU with alpha = 1: `x` for `x > 0`, `exp(x) - 1` otherwise; slope <= 1.

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Section 5.
  """

  _function = staticmethod(tf.nn.elu)


@base_layer.configured
class Softplus(NonexpansiveLayer):
  """Softplus: `log(1 + exp(x))`; slope `sigmoid(x) < 1`."""

  _function = staticmethod(tf.nn.softplus)


@base_layer.configured
class ReLU(NonexpansiveLayer):
  """ReLU: `max(x, 0)`; slope at most 1, second derivative 0.

  Log-determinant gradients need second derivatives, which vanish here: such
  flows train badly (Chen et al., 2019, Section 3.3).
  """

  _function = staticmethod(tf.nn.relu)


@base_layer.configured
class Tanh(NonexpansiveLayer):
  """The hyperbolic tangent `tanh(x)`; slope `1 - tanh(x)^2 <= 1`.

  Its second derivative vanishes at 0, the one place where its slope is 1.
  """

  _function = staticmethod(tf.tanh)


@base_layer.configured
class Identity(NonexpansiveLayer):
  """The identity, for ablations: the block is then affine.
  """

  _function = staticmethod(tf.identity)


@base_layer.configured
class LipschitzCube(NonexpansiveLayer):
  """`x^3 / 3` for `|x| < 1`, continued with slope 1: `x - 2 sign(x) / 3`.

  Its slope is `min(x^2, 1)`. One of the activations that the authors' code
  offers; the paper does not describe it.
  """

  def _function(self, x: tf.Tensor) -> tf.Tensor:
    inner = tf.clip_by_value(x, -1.0, 1.0)
    return inner**3 / 3.0 + (x - inner)


@base_layer.configured
class MaxMin(NonexpansiveLayer):
  """MaxMin: `[max(a, b), min(a, b)]` for the halves `a`, `b` of the channels.

  The channels are the last axis. Where no two are equal the derivative is a
  permutation, so the Lipschitz constant is 1 in every l_p, and gradients keep
  their norms. The second derivative vanishes, as for `ReLU`.

  Raises:
    InvalidValueError: if the number of channels is odd.

  Example:
    >>> layers.MaxMin()(tf.constant([[1.0, 2.0, 3.0, 0.0]])).numpy().tolist()
    [[3.0, 2.0, 1.0, 0.0]]

  References:
    Anil, Lucas, Grosse, 2019, Sorting Out Lipschitz Function Approximation,
    Section 4.
  """

  def build(self, input_shape: tuple) -> None:
    errors.check(
        input_shape[-1] % 2 == 0, 'input_shape', tuple(input_shape),
        'an even number of channels', f'{self.name} compares them in pairs.')

  def _function(self, x: tf.Tensor) -> tf.Tensor:
    a, b = tf.split(x, 2, axis=-1)
    return tf.concat([tf.maximum(a, b), tf.minimum(a, b)], axis=-1)


@base_layer.configured
class FullSort(NonexpansiveLayer):
  """Sorts the channels in ascending order; has all properties of `MaxMin`.

  Example:
    >>> layers.FullSort()(tf.constant([[2.0, 3.0, 1.0]])).numpy().tolist()
    [[1.0, 2.0, 3.0]]
  """

  _function = staticmethod(tf.sort)  # Along the last axis.


@base_layer.configured
class Reshape(NonexpansiveLayer):
  """Reshapes events, which keeps every norm.

  Args:
    target_shape: new shape of an event; `(-1,)` flattens it.

  Example:
    >>> layers.Reshape((-1,))(tf.zeros([5, 4, 4, 2])).shape
    TensorShape([5, 32])
  """

  def __init__(self, target_shape: Sequence[int], **kwargs):
    super().__init__(**kwargs)
    self.target_shape = tuple(target_shape)

  def _function(self, x: tf.Tensor) -> tf.Tensor:
    size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    return tf.reshape(x, [size, *self.compute_output_shape(x.shape)[1:]])

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (input_shape[0], *(
        math.prod(input_shape[1:]) if n == -1 else n
        for n in self.target_shape))
