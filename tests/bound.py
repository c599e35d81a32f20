"""Layers and bijections with a condition given, as ones that take none.

So what takes a condition passes every conformance test: the condition of an
example goes by its place in the batch.
"""

import numpy as np
import tensorflow as tf

from tf_resflow import layers
from tf_resflow.layers import base_layer

# Halves of a batch of 4 get the same ones.
_NUM_CONDITIONS = 2


def conditions_of(spec: layers.ConditionSpec, x: tf.Tensor) -> tf.Tensor:
  """Returns other conditions for neighbours in a batch `x`, `[B, ...]`."""
  rng = np.random.default_rng(7)
  values = np.arange(_NUM_CONDITIONS) % spec.num_labels if (
      spec.num_labels) else rng.normal(size=[_NUM_CONDITIONS, *spec.shape])
  return tf.gather(
      tf.constant(values, tf.int32 if spec.num_labels else x.dtype),
      tf.range(tf.shape(x)[0]) % _NUM_CONDITIONS)


@base_layer.configured
class BoundLayer(layers.LipschitzLayer):
  """A Lipschitz layer of `x` alone; what is made of conditions is a weight."""

  def __init__(self, layer: layers.LipschitzLayer, **kwargs):
    kwargs.setdefault('dtype', layer.compute_dtype)
    super().__init__(**kwargs)
    self.layer = layer
    for name in (
        'domain', 'codomain', 'bound_source', 'num_constrained',
        'lipschitz_bound',
        'learns_orders', 'compute_output_shape', 'norm_estimate', 'certificate',
        'constrained_layers', 'save_norms', 'max_activation_size'):
      setattr(self, name, getattr(layer, name))

  def build(self, input_shape):
    base_layer.build_once(self.layer, input_shape)

  def _conditions(self, x):
    size = self.layer.conditional_layers()[0].condition_size
    return conditions_of(layers.ConditionSpec((size,)), x)

  def tensors(self):
    variables, state = self.layer.tensors()
    dtype = self.compute_dtype
    every = self._conditions(tf.zeros([_NUM_CONDITIONS], dtype))
    return [variables, list(self.layer.context(every))], state

  def converge_norms(self, variables, state):
    return self.layer.converge_norms(variables[0], state)

  def effective_weights(self, variables, norms, *scales):
    return [self.layer.effective_weights(variables[0], norms, *scales),
            variables[1]]

  def evaluate(self, weights, x):
    places = tf.range(tf.shape(x)[0]) % _NUM_CONDITIONS
    return self.layer.evaluate(
        weights[0], x, *(tf.gather(t, places) for t in weights[1]))

  def call(self, inputs):
    return self.layer(inputs, condition=self._conditions(inputs))

  def structure(self):
    return type(self), self.layer.structure()


@base_layer.configured
class BoundBijection(layers.CompositeBijection):
  """A bijection of `x` alone."""

  condition_spec = None

  def __init__(self, bijection: layers.Bijection, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    kwargs.setdefault('name', bijection.name)
    super().__init__(**kwargs)
    self.bijection = bijection
    self.compute_output_shape = bijection.compute_output_shape

  @property
  def parts(self):
    return [self.bijection]

  def with_parts(self, parts):
    return BoundBijection(*parts, name=self.name)

  def build(self, input_shape):
    base_layer.build_once(self.bijection, input_shape)

  def _with_settings(self, settings, x):
    return [(self.bijection, settings._replace(
        condition=conditions_of(self.bijection.condition_spec, x)))]
