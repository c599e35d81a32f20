"""Concatenated activations `[a(x), a(-x)]`, which double the channels."""

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import activations
from tf_resflow.layers.lipschitz import lip_swish
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import differentiation

# max_z |(D(z), 1 - D(z))|_2 / 1.1 with D the slope of z sigmoid(z), at most
# 1.09983933; rounded up.
_LIP_SWISH_NORM = 1.003966
# sqrt(1 + (19 exp(-4))^2), see `CPila`, rounded up.
_CPILA_NORM = 1.058822
# Least argument of exp: it is zero below, also in float64, and s^3 in range.
_SMALLEST = -750.0


def mirror(x: tf.Tensor, offset: float = 0.0) -> tf.Tensor:
  """Returns `[offset + x, offset - x]` along the last axis.

  Its gradient is `fold`, whose gradient is `mirror`: a few operations, where
  TensorFlow's gradients of a concatenation take a dozen, in more passes.
  """

  @tf.custom_gradient
  def shifted(x):
    return tf.concat([offset + x, offset - x], axis=-1), fold

  return shifted(x)


@tf.custom_gradient
def fold(y: tf.Tensor) -> tf.Tensor:
  """Returns the first half of the last axis minus the second."""
  first, second = tf.split(y, 2, axis=-1)
  return first - second, mirror


@tf.custom_gradient
def _with_difference(y, x):
  """Returns `[y, y - x]`, with a cheap gradient as that of `mirror`."""

  def backward(dboth):
    first, second = tf.split(dboth, 2, axis=-1)
    return first + second, -second

  return tf.concat([y, y - x], axis=-1), backward


class ConcatenatedActivation(lipschitz_layer.LipschitzLayer):
  """Base class of `[a(x), a(-x)]`, concatenated along the last axis.

  Both halves depend on the same entry, so the derivative is a column
  `(a'(x), -a'(-x))` for every entry of the input, and the Lipschitz constant
  in l_2 is `sup_x sqrt(a'(x)^2 + a'(-x)^2)`. In l_p it is
  `sup_x (|a'(x)|^p + |a'(-x)|^p)^(1/p)`, which differs from order to order
  unless one of the two slopes vanishes.

  References:
    Perugachi-Diaz, Tomczak, Bhulai, 2021, Invertible DenseNets with
    Concatenated LipSwish, Section 3.2.
  """

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return (*input_shape[:-1], 2 * input_shape[-1])


@base_layer.configured
class CReLU(activations.NonexpansiveLayer, ConcatenatedActivation):
  """CReLU: `[max(x, 0), max(-x, 0)]`; Lipschitz constant 1 in every l_p.

  One of the two slopes is 1 and the other 0, for every entry. It keeps every
  norm of its input, but its second derivative vanishes, as for `ReLU`.

  Example:
    >>> layers.CReLU()(tf.constant([[-1.0, 2.0]])).numpy().tolist()
    [[0.0, 2.0, 1.0, 0.0]]

  References:
    Shang et al., 2016, Understanding and Improving Convolutional Neural
    Networks via Concatenated Rectified Linear Units.
  """

  def _function(self, x: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(mirror(x))


@base_layer.configured
class CLipSwish(lip_swish.ScaledSwish, ConcatenatedActivation):
  """CLipSwish: `[s(x), s(-x)] / 1.004`, `s` LipSwish; constant < 1 in l_2.

  With `f(z) = z sigmoid(z)`, `f(z) - f(-z) = z`, so the slopes of `f`, `D` at
  `z` and `1 - D` at `-z`, add up to one. `D^2 + (1 - D)^2` is largest where `D`
  is, at 1.09984: the constant of `[s(x), s(-x)]` is
  `sqrt(1.09984^2 + 0.09984^2) / 1.1 = 1.00397` for every `beta`. The second
  half takes only a subtraction.

  Args:
    beta_initial: see `LipSwish`.
  """

  lipschitz_bound = _LIP_SWISH_NORM / 1.004
  divisor = 1.1 * 1.004

  def evaluate_unscaled(self, x: tf.Tensor) -> tf.Tensor:
    return _with_difference(lip_swish.swish(x), x)


@base_layer.configured
class CPila(lipschitz_layer.ScaledActivation, ConcatenatedActivation):
  """CPila: `[p(x - 0.2), p(-x - 0.2)] / 1.06`; Lipschitz constant < 1 in l_2.

  `p` is Pila with `k = 5`: `x` for `x > 0` and
  `(k^2/2 x^3 - k x^2 + x) exp(k x)` below, twice continuously differentiable.
  Most of its curvature lies where its slope is close to one, and both halves
  are flat for few `x` only.

  With `s = k x`, the slope for `s < 0` is `(1 - s + s^2/2 + s^3/2) exp(s)`, and
  its derivative by `s` is `s^2 (2 + s/2) exp(s)`: from 0 at minus infinity the
  slope falls to `-19 exp(-4) = -0.348` at `s = -4`, then rises to 1 at 0, and
  stays there. With the shifts one half has the slope 1 for `|x| >= 0.2`, and
  the other at most 0.348 in size, at `|x| = 0.6`: together
  `sqrt(1 + (19 exp(-4))^2) = 1.05882` in l_2. For `|x| < 0.2` it is less: on a
  fine grid in float64 at most 1.0428.

  References:
    Ahn, Kim, Hong, Ko, 2022, Invertible Monotone Operators for Normalizing
    Flows, Section 4.3.
  """

  lipschitz_bound = _CPILA_NORM / 1.06

  def scales(self, variables: Tensors) -> tuple[float, float]:
    """Returns `k` and `1 / (1.06 k)`."""
    return 5.0, 1.0 / 5.3

  def evaluate_unscaled(self, x: tf.Tensor) -> tf.Tensor:
    """Returns `k [p(x / k - 0.2), p(-x / k - 0.2)]`, with `0.2 k = 1`."""
    return pila(mirror(x, -1.0))


def _derivatives(x):
  """Returns `k p(x / k)` and its derivatives, in few passes over memory."""
  s = tf.clip_by_value(x, _SMALLEST, 0.0)
  power = tf.exp(s)
  # 2 (1 - s + s^2 / 2) = 1 + (1 - s)^2.
  twice = power * (1.0 + tf.math.squared_difference(s, 1.0))
  square = s * s
  y = tf.nn.relu(x) + 0.5 * (s * twice)
  derivative = 0.5 * (twice + square * s * power)
  # The second derivative is zero for positive numbers.
  return y, derivative, lambda factor: factor * (
      power * square * (2.0 + 0.5 * s))


# `k p(x / k)`: with `s = min(x, 0)`, `max(x, 0) + s (1 - s + s^2 / 2) exp(s)`.
pila = differentiation.elementwise(_derivatives)
