"""CPila, the concatenated Pila activation."""

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import concatenated
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import differentiation

# sqrt(1 + (19 exp(-4))^2), see below, rounded up.
_CPILA_NORM = 1.058822
# exp(s) is zero below, also in float64, and s^3 stays in range.
_SMALLEST = -750.0


@base_layer.configured
class CPila(lipschitz_layer.ScaledActivation, concatenated.Concatenated):
  """`[p(x - 0.2), p(-x - 0.2)] / 1.06`; Lipschitz constant < 1 in l_2.

  `p` is Pila with `k = 5`: `x` for `x > 0` and
  `(k^2/2 x^3 - k x^2 + x) exp(k x)` below, twice continuously differentiable.
  Most of its curvature lies where its slope is close to one, and few `x` find
  both halves flat.

  With `s = k x`, the slope for `s < 0` is `(1 - s + s^2/2 + s^3/2) exp(s)`, and
  its derivative by `s` is `s^2 (2 + s/2) exp(s)`: from 0 at minus infinity the
  slope falls to `-19 exp(-4) = -0.348` at `s = -4`, then rises to 1 at 0, and
  stays there. Behind the shifts one half has the slope 1 for `|x| >= 0.2`, and
  the other at most 0.348 in size, at `|x| = 0.6`: together
  `sqrt(1 + (19 exp(-4))^2) = 1.05882` in l_2. For `|x| < 0.2` it is less: on a
  fine grid in float64 at most 1.0428. The scales 5 and 1 / 5.3 become
  part of the kernels around it.

  Args:
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.CPila()(tf.ones([2, 3])).shape
    TensorShape([2, 6])

  References:
    Ahn, Kim, Hong, Ko, 2022, Invertible Monotone Operators for Normalizing
    Flows, Section 4.3.
  """

  lipschitz_bound = _CPILA_NORM / 1.06

  def scales(self, variables: base_layer.Tensors) -> tuple[float, float]:
    """Returns `k` and `1 / (1.06 k)`."""
    return 5.0, 1.0 / 5.3

  def evaluate_unscaled(self, x: tf.Tensor) -> tf.Tensor:
    """Returns `k [p(x / k - 0.2), p(-x / k - 0.2)]`, with `0.2 k = 1`."""
    return pila(concatenated.mirror(x, -1.0))


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
