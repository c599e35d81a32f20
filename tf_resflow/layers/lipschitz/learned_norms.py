"""Trainable orders of norms, and sequences of layers that share them."""

from collections.abc import Sequence

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.lipschitz import container
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics.norms import orders

# Value of an argument `domain` or `codomain` whose order is learned.
LEARNED = 'learned'


@base_layer.configured
class LearnedOrder(base_layer.BaseLayer):
  """A trainable order `p` in (1, 5), initially 2.

  See `numerics.norms.orders.squashed`.
  """

  def build(self, input_shape: tuple) -> None:
    self.raw = self.add_weight(name='raw', shape=(), initializer='zeros')

  def value(self) -> tf.Tensor:
    """Returns `p`, a scalar."""
    return orders.squashed(tf.convert_to_tensor(self.raw.value))


def present_order(order: float | LearnedOrder) -> float:
  """Returns an order as a number; the present value of a learned one."""
  return float(order.value()) if isinstance(order, LearnedOrder) else order


@base_layer.configured
class LearnedNorms(container.LipschitzSequential):
  """A `LipschitzSequential` that learns the orders `p` of its l_p norms.

  The codomain of a linear layer is the domain of the next one, and that of the
  last one the domain of the first: with `n` linear layers there are `n` orders,
  each in (1, 5) and initially 2, and whatever they are, the sequence maps l_p
  to l_p with the product of the bounds. They are trained like weights, through
  the norms that kernels are divided by.

  Its linear parts are induced-norm layers with `domain='learned',
  codomain='learned'`; others raise `InvalidValueError`.

  Example:
    >>> learned = {'domain': 'learned', 'codomain': 'learned'}
    >>> g = layers.LearnedNorms([
    ...     layers.InducedNormDense(8, coeff=0.9, **learned), layers.ELU(),
    ...     layers.InducedNormDense(2, coeff=0.5, **learned)])
    >>> g(tf.ones([3, 2])).shape
    TensorShape([3, 2])
    >>> [float(order.value()) for order in g.orders]
    [2.0, 2.0]
  """

  def __init__(self, parts: Sequence[lipschitz_layer.LipschitzLayer], **kwargs):
    linear = [c for part in parts for c in part.constrained_layers()]
    for layer in linear:
      errors.check(layer.learns_orders, 'domain', layer.domain,
                   f'{LEARNED} for every linear layer of a LearnedNorms',
                   f'Set domain and codomain of {layer.name}.')
    orders = [
        LearnedOrder(name=f'order_{i}', dtype=layer.dtype_policy)
        for i, layer in enumerate(linear)]
    for i, layer in enumerate(linear):
      layer.domain = orders[i]
      layer.codomain = orders[(i + 1) % len(orders)]
    super().__init__(parts, **kwargs)

  @property
  def orders(self) -> list[LearnedOrder]:
    """The orders of the domains of the linear layers, in their order."""
    return [layer.domain for layer in self.constrained_layers()]
