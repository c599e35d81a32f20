"""The gradient by which the released code learns the orders of norms."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_resflow import layers

# Of the mean norm, in the released code for points (train_toy).
WEIGHT = 0.01


def replace(
    gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable],
    linear: Sequence[layers.LipschitzLayer]) -> list[tf.Tensor]:
  """Puts gradients of norms in place of those of learned orders.

  That of 0.01 times the mean of `|W|_p->q` over the layers whose orders are
  learned, as kernels are before they are divided by it: orders go to where the
  norms are small.

  Args:
    gradients: of an objective, one per variable.
    variables: the trainable ones of a model.
    linear: its linear layers.
  """
  linear = [layer for layer in linear if layer.learns_orders]
  raw = {id(order.raw): order.raw.value for layer in linear
         for order in (layer.domain, layer.codomain)}
  with tf.GradientTape() as tape:
    tape.watch(list(raw.values()))
    mean = tf.add_n([layer.norm() for layer in linear]) / len(linear)
    loss = WEIGHT * mean
  found = dict(zip(raw, tape.gradient(
      loss, list(raw.values()),
      unconnected_gradients=tf.UnconnectedGradients.ZERO), strict=True))
  return [found.get(id(variable), gradient) for variable, gradient in zip(
      variables, gradients, strict=True)]
