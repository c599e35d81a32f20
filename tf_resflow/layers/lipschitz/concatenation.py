"""Concatenation of an input with a function of it, as in i-DenseNets."""

from collections.abc import Iterable, Sequence

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import container
from tf_resflow.layers.lipschitz import lipschitz_layer

# Keeps both weights away from zero.
_LEAST = 0.1


@base_layer.configured
class Concatenation(container.LipschitzContainer):
  """`[a x, b h(x)]` along the last axis, with learned `a^2 + b^2 = 1`.

    (a, b) = (softplus(raw) + 0.1) / |softplus(raw) + 0.1|_2

  A difference `d` of inputs becomes one of squared size at most
  `a^2 |d|^2 + b^2 Lip(h)^2 |d|^2`, so the bound is `max(1, Lip(h))` for all
  weights.

  Args:
    part: the layer `h`, from l_2 to l_2, which only changes the last axis.

  Example:
    >>> layer = layers.Concatenation(layers.SpectralDense(4, coeff=0.9))
    >>> layer(tf.ones([2, 3])).shape, layer.lipschitz_bound
    (TensorShape([2, 7]), 1.0)

  References:
    Perugachi-Diaz, Tomczak, Bhulai, 2021, Invertible DenseNets with
    Concatenated LipSwish, Sections 3.1 and 3.3.
  """

  def __init__(self, part: lipschitz_layer.LipschitzLayer, **kwargs):
    super().__init__([part], **kwargs)
    errors.check(
        {part.domain, part.codomain} <= {None, 2.0}, 'part',
        f'a map from l_{part.domain} to l_{part.codomain}', 'one of l_2')
    self.part = part

  def build(self, input_shape: tuple) -> None:
    super().build(input_shape)
    self.raw = self.add_weight(name='raw', shape=(2,), initializer='ones')

  def shapes(self, input_shape: tuple) -> Iterable[tuple]:
    *_, size = self.part.compute_output_shape(input_shape)
    return input_shape, (*input_shape[:-1], input_shape[-1] + size)

  def combine(self, constants: Sequence[float]) -> float:
    return max(1.0, *constants)

  def effective_weights(self, variables: Tensors, norms: Tensors) -> Tensors:
    of_part, raw = super().effective_weights(variables, norms)
    weights = tf.nn.softplus(raw) + _LEAST
    return [of_part, *tf.unstack(weights / tf.norm(weights))]

  def evaluate(self, weights: Tensors, x: tf.Tensor,
               *context: tf.Tensor) -> tf.Tensor:
    of_part, a, b = weights
    return tf.concat(
        [a * x, b * self.part.evaluate(of_part, x, *context)], axis=-1)
