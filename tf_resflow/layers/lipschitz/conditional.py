"""Where a condition enters a network: added to it, or damping it."""

from typing import Any

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec
from tf_resflow.layers.lipschitz import lipschitz_layer


class ConditionalLayer(
    condition_spec.ConditionMatrix, lipschitz_layer.LipschitzLayer):
  """A map `[B, ..., C] -> [B, ..., C]` that a condition chooses.

  Its bound, that in the input, holds for every condition. The condition passes
  the matrix once per pass: what a series or a solver evaluates again and again
  sees the result, its `context`.

  Args:
    condition_size: see `ConditionMatrix`.
    kernel_initializer: see `ConditionMatrix`.
    **kwargs: of `keras.layers.Layer`.
  """

  domain = codomain = None
  lipschitz_bound = 1.0
  takes_condition = True

  def build(self, input_shape: tuple) -> None:
    self.add_matrix(input_shape[-1])
    # The shape of one number per channel.
    self._context_shape = (*[1] * (len(input_shape) - 2), input_shape[-1])

  def tensors(self) -> tuple[base_layer.Tensors, base_layer.Tensors]:
    return [], []  # `context` has seen the matrix.

  def conditional_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [self]

  def per_channel(self, condition: Any) -> tf.Tensor:
    """Returns `W c`, `[B, 1, ..., C]`."""
    return tf.reshape(self.project(condition), [-1, *self._context_shape])

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    return self.evaluate(self.present_weights(), inputs, *(
        condition_spec.as_batch(t, inputs) for t in self.context(condition)))

  def structure(self) -> tuple:
    # What chooses is no part of the function that is evaluated.
    return type(self), self.dtype_policy.name, self._context_shape


@base_layer.configured
class ConditionShift(ConditionalLayer):
  """`x + W c`, per channel (the last axis): an isometry in every l_p.

  Behind the first linear layer of `g` it makes `g(x, c)` a contraction in `x`
  for every `c`, with the bound of the linear layers alone.

  Args:
    condition_size: see `ConditionMatrix`.
    kernel_initializer: see `ConditionMatrix`.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32, coeff=0.9), layers.ConditionShift(4),
    ...     layers.LipSwish(), layers.SpectralDense(2, coeff=0.9)])
    >>> block = layers.ResidualBlock(g)
    >>> y, _ = block.forward_and_log_det(
    ...     tf.ones([5, 2]), condition=tf.random.normal([5, 4]))
    >>> round(block.lipschitz_bound, 2)
    0.81
  """

  is_translation = True

  def context(self, condition: Any) -> tuple[tf.Tensor, ...]:
    return (self.per_channel(condition),)

  def effective_weights(
      self, variables: base_layer.Tensors, norms: base_layer.Tensors,
      input_scale: float | tf.Tensor = 1.0,
      output_scale: float | tf.Tensor = 1.0) -> base_layer.Tensors:
    """Returns what the shift is multiplied by.

    Of `x -> output_scale (x + W c)`, where whatever comes before multiplies `x`
    already.
    """
    return [tf.convert_to_tensor(output_scale, self.compute_dtype)]

  def evaluate(
      self, weights: base_layer.Tensors, x: tf.Tensor, shift: tf.Tensor,
  ) -> tf.Tensor:
    return x + weights[0] * shift


@base_layer.configured
class ConditionGate(ConditionalLayer):
  """`x phi(c)`, `phi = sigmoid(W c + 2)` in (0, 1), per channel.

  A contraction in every l_p for every `c`. At the end of `g` it makes
  `phi(c) g(x)`: the condition says how much a block does.

  Args:
    condition_size: see `ConditionMatrix`.
    kernel_initializer: see `ConditionMatrix`.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> gate = layers.ConditionGate(4)
    >>> y = gate(tf.ones([5, 2]), condition=tf.random.normal([5, 4]))
    >>> bool(tf.reduce_all((y > 0.0) & (y < 1.0)))
    True
  """

  def context(self, condition: Any) -> tuple[tf.Tensor, ...]:
    # Gates begin nearly open.
    return (tf.sigmoid(self.per_channel(condition) + 2.0),)

  def evaluate(
      self, weights: base_layer.Tensors, x: tf.Tensor, gate: tf.Tensor,
  ) -> tf.Tensor:
    return x * gate
