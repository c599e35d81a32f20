"""LipSwish, and the base class that it shares with CLipSwish."""

import keras
import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import differentiation

# max_z d/dz [z sigmoid(z)], rounded up; swish_beta(z) = swish(beta z) / beta
# has the same maximal slope for every beta > 0.
_SWISH_MAX_SLOPE = 1.09983933
_SMALLEST_SCALE = 1e-12


class ScaledSwish(lipschitz_layer.ScaledActivation):
  """`h(s x) / (divisor s)` with `s = softplus(beta)`, `beta` trainable."""

  divisor: float

  def __init__(self, beta_initial: float = 0.5, **kwargs):
    super().__init__(**kwargs)
    self.beta_initial = beta_initial

  def build(self, input_shape: tuple) -> None:
    self.beta = self.add_weight(
        name='beta', shape=(),
        initializer=keras.initializers.Constant(self.beta_initial))

  def scales(self, variables: Tensors) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns `s` and `1 / (divisor s)`."""
    # For smaller s the slope is 1 / 2 to rounding, but 1 / s could overflow.
    scale = tf.maximum(tf.nn.softplus(variables[0]), _SMALLEST_SCALE)
    return scale, 1.0 / (self.divisor * scale)


@base_layer.configured
class LipSwish(ScaledSwish, lipschitz_layer.ElementwiseActivation):
  """LipSwish: `x sigmoid(softplus(beta) x) / 1.1`.

  Its slope is at most 1.0999 / 1.1 < 1 for every `beta`, and its second
  derivative does not vanish where the slope is close to one.

  Args:
    beta_initial: initial value of the raw parameter, before softplus.

  References:
    Chen et al., 2019, Residual Flows, Section 3.3, Equation 10.
  """

  lipschitz_bound = _SWISH_MAX_SLOPE / 1.1
  divisor = 1.1

  def evaluate_unscaled(self, x: tf.Tensor) -> tf.Tensor:
    return swish(x)


# An elementwise operation on a hidden layer of an image flow takes about a
# quarter of the time of a matrix product with it, so there are few below.


def _derivatives(z):
  """Returns `y = z s` and `D = s + z s (1 - s)` with `s = sigmoid(z)`.

  And a function that multiplies by the second derivative, which is
  `s (1 - s) (2 + z (1 - 2 s)) = s + D - 2 s D`, since `z s (1 - s) = D - s`.
  """
  sigmoid = tf.sigmoid(z)
  # SigmoidGrad(s, t) = t s (1 - s), in one operation.
  derivative = sigmoid + tf.raw_ops.SigmoidGrad(y=sigmoid, dy=z)

  def times_second(factor):
    product = factor * sigmoid
    return derivative * (factor - (product + product)) + product

  return z * sigmoid, derivative, times_second


# `z sigmoid(z)`.
swish = differentiation.elementwise(_derivatives)
