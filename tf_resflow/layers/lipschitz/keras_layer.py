"""Keras layers as Lipschitz layers."""

from collections.abc import Callable
import json
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import numerics
from tf_resflow import private_apis
from tf_resflow.layers import base_layer
from tf_resflow.layers.base_layer import Tensors
from tf_resflow.layers.lipschitz import container
from tf_resflow.layers.lipschitz import lipschitz_layer

# Bounds of activations by identity: another function may have the same name.
_ACTIVATION_BOUNDS = {
    keras.activations.linear: 1.0, keras.activations.relu: 1.0,
    keras.activations.elu: 1.0, keras.activations.softplus: 1.0,
    keras.activations.tanh: 1.0, keras.activations.sigmoid: 0.25,
    keras.activations.softsign: 1.0, keras.activations.selu: 1.7580994}

# The bounds of Keras layers, in every l_p. Register your own layers with
# `KERAS_BOUNDS[MyLayer] = lambda layer: ...`; None is an unknown bound.
KERAS_BOUNDS: dict[type, Callable[[keras.layers.Layer], float | None]] = {
    **{isometry: lambda layer: 1.0 for isometry in (
        keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape,
        keras.layers.Permute, keras.layers.Identity)},
    keras.layers.Activation: (
        lambda layer: _ACTIVATION_BOUNDS.get(layer.activation))}


def check_is_function(
    layer: keras.layers.Layer, name: str, advice: str) -> None:
  """Raises `InvalidValueError` unless a layer is a function of one example."""
  for part in private_apis.sublayers(layer):
    # It mixes examples, is random, or depends on former batches.
    depends_on_more = isinstance(part, (
        keras.layers.BatchNormalization, keras.layers.Dropout)) or getattr(
            part, 'is_data_dependent', False) or any(
                isinstance(value, keras.random.SeedGenerator)
                for value in vars(part).values())
    errors.check(
        not depends_on_more, name,
        f'{type(part).__name__} ({part.name!r})',
        'a deterministic function of each example alone', advice)


@base_layer.configured
class KerasLayer(lipschitz_layer.LipschitzLayer):
  """A Keras layer or model as a Lipschitz layer.

  Args:
    layer: a function of each example alone. Its bound is that of
      `KERAS_BOUNDS`, else unknown.

  Raises:
    InvalidValueError: if it is not, as with batch normalisation or dropout.

  Example:
    >>> layers.KerasLayer(keras.layers.Flatten()).lipschitz_bound
    1.0
    >>> layers.KerasLayer(keras.layers.Dense(2)).lipschitz_bound is None
    True
  """

  def __init__(self, layer: keras.layers.Layer, **kwargs):
    check_is_function(
        layer, 'g', 'Otherwise the block has no well-defined inverse and '
        'log-determinant. Remove that layer. In place of batch normalisation, '
        'use ActNorm or MovingMean outside of the block.')
    for part in private_apis.sublayers(layer):
      errors.check(
          not getattr(part, 'takes_condition', False), 'g', part.name,
          problem='takes a condition inside of a Keras layer that does not '
          'pass it on', advice='Use a keras.Sequential or '
          'layers.LipschitzSequential, which do.')
    kwargs.setdefault('dtype', _dtype(layer))
    super().__init__(**kwargs)
    self.layer = layer
    self.lipschitz_bound = KERAS_BOUNDS.get(
        type(layer), lambda layer: None)(layer)
    if self.lipschitz_bound is not None:
      self.domain = self.codomain = None

  def build(self, input_shape: tuple) -> None:
    base_layer.build_once(self.layer, input_shape)

  def tensors(self) -> tuple[Tensors, Tensors]:
    return [[tf.convert_to_tensor(v.value) for v in variables]
            for variables in (self.layer.trainable_variables,
                              self.layer.non_trainable_variables)], []

  def evaluate(self, weights: Tensors, x: tf.Tensor) -> tf.Tensor:
    return self.layer.stateless_call(*weights, x)[0]

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.layer(inputs)

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    # Works also for layers that only define `call`.
    return tuple(self.layer.compute_output_spec(
        keras.KerasTensor(input_shape, dtype=self.compute_dtype)).shape)

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [
        part for part in private_apis.sublayers(self.layer)
        if isinstance(part, lipschitz_layer.LipschitzLayer)
        and part.num_constrained]

  def max_activation_size(self, input_shape: tuple) -> int:
    return 0  # Unknown.

  def structure(self) -> Any:
    if self.lipschitz_bound is None:
      return self.layer  # Its configuration may be incomplete or missing.
    return type(self), type(self.layer), json.dumps(
        self.layer.get_config() | {'name': ''}, sort_keys=True, default=str)


def _dtype(layer):
  """Returns the dtype that the layers within a layer compute in."""
  dtypes = {
      part.compute_dtype for part in private_apis.sublayers(layer)
      if not isinstance(part, (keras.Model, keras.layers.InputLayer))}
  # A functional model casts to the dtype of its inputs.
  dtypes.update(t.dtype for t in getattr(layer, 'inputs', None) or [])
  return base_layer.common_dtype(
      dtypes or {layer.compute_dtype}, repr(layer.name))


@base_layer.configured
class AssertedLayer(container.LipschitzSequential):
  """A layer whose Lipschitz bound the user asserts.

  Args:
    layer: a Lipschitz layer.
    lipschitz_bound: its bound in l_2.

  Example:
    >>> g = layers.as_lipschitz_layer(
    ...     keras.layers.Dense(2), lipschitz_bound=0.9)
    >>> g.certificate()
    Certificate(bound=0.9, methods=('asserted',), order=None)
  """

  def __init__(self, layer: lipschitz_layer.LipschitzLayer,
               lipschitz_bound: float, **kwargs):
    super().__init__([layer], **kwargs)
    self.layer = layer
    self.lipschitz_bound = lipschitz_bound
    self.domain = self.codomain = 2.0
    self.bound_source = 'assertion'
    self.num_constrained = 0

  def norm_estimate(self) -> float | None:
    return self.lipschitz_bound

  def certificate(self, target: float = 1.0) -> numerics.Certificate:
    return numerics.Certificate(self.lipschitz_bound, ('asserted',))

  def get_config(self) -> dict:
    return keras.layers.Layer.get_config(self) | {
        'layer': keras.saving.serialize_keras_object(self.layer),
        'lipschitz_bound': self.lipschitz_bound}


def as_lipschitz_layer(
    layer: keras.layers.Layer, lipschitz_bound: float | None = None,
) -> lipschitz_layer.LipschitzLayer:
  """Converts a Keras layer to a `LipschitzLayer`.

  A `keras.Sequential` becomes a `LipschitzSequential` of its layers, and of
  those of nested `keras.Sequential`s, which share their variables with it. They
  are called one by one in their own dtype: the model itself would cast its
  input to another.

  Args:
    layer: a Lipschitz layer, which is returned itself, or a Keras layer.
    lipschitz_bound: asserts `Lip(layer) <= lipschitz_bound` in l_2.

  Example:
    >>> layers.as_lipschitz_layer(keras.Sequential([
    ...     layers.SpectralDense(8, coeff=0.9), layers.ELU(),
    ...     layers.SpectralDense(2, coeff=0.5)])).lipschitz_bound
    0.45
  """
  if lipschitz_bound is not None:
    return AssertedLayer(as_lipschitz_layer(layer), lipschitz_bound)
  if isinstance(layer, lipschitz_layer.LipschitzLayer):
    return layer
  if type(layer) is keras.Sequential:
    return container.LipschitzSequential(_parts(layer), name=layer.name)
  return KerasLayer(layer)


def _parts(layer):
  """Returns the layers that a `keras.Sequential` calls one after another."""
  if type(layer) is not keras.Sequential:
    return [as_lipschitz_layer(layer)]
  return [p for part in layer.layers for p in _parts(part)]
