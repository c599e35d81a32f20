"""A Lipschitz layer with the fixed effective weights of another one."""

from typing import Any

import keras
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import learned_norms
from tf_resflow.layers.lipschitz import lipschitz_layer


class FrozenLayer(lipschitz_layer.LipschitzLayer):
  """A layer with the present effective weights of another, for exports.

  Frozen layers of one `ResidualFunction` share their graphs. Not for XLA, see
  `numerics.ResidualFunction.of_weights`.
  """

  is_frozen = True

  def __init__(self, layer: lipschitz_layer.LipschitzLayer,
               function: numerics.ResidualFunction, input_shape: tuple):
    super().__init__(name=layer.name, dtype=layer.dtype_policy)
    self.lipschitz_bound = layer.lipschitz_bound
    self.bound_source = layer.bound_source
    self.domain, self.codomain = map(
        learned_norms.present_order, (layer.domain, layer.codomain))
    self.conditional = base_layer.track(self, [
        base_layer.frozen_copy(c) for c in layer.conditional_layers()])
    self._max_activation_size = layer.max_activation_size(input_shape)
    self._function = function.of_weights
    weights = function.weights(*layer.tensors())
    self._structure = tf.nest.map_structure(lambda w: None, weights)
    self.weights_of_layer = [
        keras.Variable(w, dtype=w.dtype.name, trainable=False)
        for w in tf.nest.flatten(weights)]
    self.built = True

  def as_function(self, max_examples: Any) -> numerics.ResidualFunction:
    return self._function

  def tensors(self) -> tuple[Tensors, Tensors]:
    return tf.nest.pack_sequence_as(self._structure, [
        tf.convert_to_tensor(w.value) for w in self.weights_of_layer]), []

  def evaluate(self, weights: Tensors, x: tf.Tensor,
               *context: tf.Tensor) -> tf.Tensor:
    return self._function.evaluate(weights, x, *context)

  def context(self, condition: Any) -> tuple[tf.Tensor, ...]:
    return tuple(t for c in self.conditional for t in c.context(condition))

  def conditional_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return self.conditional

  def max_activation_size(self, input_shape: tuple) -> int:
    return self._max_activation_size

  def certificate(self, target: float = 1.0) -> numerics.Certificate:
    # Use that of the original layer.
    return numerics.Certificate(None, ('frozen',))

  def structure(self) -> Any:
    return type(self), id(self._function)
