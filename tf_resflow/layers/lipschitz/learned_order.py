"""The order of a norm as something that is trained."""

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.numerics.norms import orders

# What stands for an order in the arguments of layers.
LEARNED = 'learned'


@base_layer.configured
class LearnedOrder(base_layer.BaseLayer):
  """An order `p` in (1, 5) with one trainable number behind it, 2 at first.

  See `numerics.norms.orders.squashed`.
  """

  def build(self, input_shape: tuple) -> None:
    self.raw = self.add_weight(name='raw', shape=(), initializer='zeros')

  def value(self) -> tf.Tensor:
    """Returns `p`, a scalar."""
    return orders.squashed(tf.convert_to_tensor(self.raw.value))


def present_order(order: float | LearnedOrder) -> float:
  """Returns an order as a number, the present one of one that is learned."""
  return float(order.value()) if isinstance(order, LearnedOrder) else order
