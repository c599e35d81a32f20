"""Elementwise activations without variables, of slope at most one."""

from collections.abc import Callable

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import lipschitz_layer


class OfBoundOne(lipschitz_layer.LipschitzLayer):
  """A `_function` without variables, of Lipschitz bound 1 in every l_p."""

  domain = codomain = None
  lipschitz_bound = 1.0
  _function: Callable[[tf.Tensor], tf.Tensor]

  def evaluate(self, weights: base_layer.Tensors, x: tf.Tensor) -> tf.Tensor:
    return self._function(x)


class _OfSlopeOne(OfBoundOne, lipschitz_layer.Elementwise):
  """A function whose slope is at most one."""


@base_layer.configured
class ELU(_OfSlopeOne):
  """ELU with alpha = 1: `x` for `x > 0`, `exp(x) - 1` otherwise; slope <= 1.

  Example:
    >>> layers.ELU()(tf.constant([0.0, 2.0])).numpy().tolist()
    [0.0, 2.0]

  References:
    Behrmann et al., 2019, Invertible Residual Networks, Section 5.
  """

  _function = staticmethod(tf.nn.elu)


@base_layer.configured
class Softplus(_OfSlopeOne):
  """`log(1 + exp(x))`; slope `sigmoid(x) < 1`.

  Example:
    >>> y = layers.Softplus()(tf.constant([0.0, 2.0]))
  """

  _function = staticmethod(tf.nn.softplus)


@base_layer.configured
class ReLU(_OfSlopeOne):
  """`max(x, 0)`; slope at most 1, second derivative 0.

  Log-determinant gradients need second derivatives, which vanish here: such
  flows train badly (Chen et al., 2019, Section 3.3).

  Example:
    >>> layers.ReLU()(tf.constant([-1.0, 2.0])).numpy().tolist()
    [0.0, 2.0]
  """

  _function = staticmethod(tf.nn.relu)


@base_layer.configured
class Tanh(_OfSlopeOne):
  """`tanh(x)`; slope `1 - tanh(x)^2 <= 1`.

  Its second derivative vanishes at 0, the one place where its slope is 1.

  Example:
    >>> y = layers.Tanh()(tf.constant([0.0, 2.0]))
  """

  _function = staticmethod(tf.tanh)


@base_layer.configured
class Identity(_OfSlopeOne):
  """`x`; for ablations, the block is then affine.

  Example:
    >>> layers.Identity()(tf.constant([-1.0, 2.0])).numpy().tolist()
    [-1.0, 2.0]
  """

  _function = staticmethod(tf.identity)


@base_layer.configured
class LipschitzCube(_OfSlopeOne):
  """`x^3 / 3` for `|x| < 1`, continued with slope 1: `x - 2 sign(x) / 3`.

  Its slope is `min(x^2, 1)`. One of the activations that the authors' code
  offers; the paper does not describe it.

  Example:
    >>> y = layers.LipschitzCube()(tf.constant([0.0, 3.0]))  # [0, 7/3]
  """

  def _function(self, x: tf.Tensor) -> tf.Tensor:
    inner = tf.clip_by_value(x, -1.0, 1.0)
    return inner**3 / 3.0 + (x - inner)
