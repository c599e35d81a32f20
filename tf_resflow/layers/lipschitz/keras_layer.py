"""Keras layers as Lipschitz layers."""

from collections.abc import Callable, Sequence
import json
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow import private_apis
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.layers.lipschitz import sequence

# By identity: another function may carry the name of one of these.
_ACTIVATION_BOUNDS = {
    keras.activations.linear: 1.0, keras.activations.relu: 1.0,
    keras.activations.elu: 1.0, keras.activations.softplus: 1.0,
    keras.activations.tanh: 1.0, keras.activations.sigmoid: 0.25,
    keras.activations.softsign: 1.0}

# The bounds of Keras layers, in every l_p. A reader's own layers join with
# `KERAS_BOUNDS[MyLayer] = lambda layer: ...`; None is an unknown bound.
KERAS_BOUNDS: dict[type, Callable[[keras.layers.Layer], float | None]] = {
    **{isometry: lambda layer: 1.0 for isometry in (
        keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape,
        keras.layers.Permute, keras.layers.Identity)},
    keras.layers.Activation: (
        lambda layer: _ACTIVATION_BOUNDS.get(layer.activation)),
}


def _depends_on_more_than_its_input(layer):
  """Whether a layer mixes examples, draws, or changes with what it sees."""
  draws = any(isinstance(value, keras.random.SeedGenerator)
              for value in vars(layer).values())
  return (draws or getattr(layer, 'is_data_dependent', False) or
          isinstance(layer, (
              keras.layers.BatchNormalization, keras.layers.Dropout)))


@keras.saving.register_keras_serializable('tf_resflow')
class KerasLayer(lipschitz_layer.LipschitzLayer):
  """Any Keras layer or model that is a function of one example.

  Args:
    layer: the layer. Its bound is that of `KERAS_BOUNDS`, else not known.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of `layer`.

  Raises:
    InvalidValueError: if the layer contains batch normalisation, dropout, or
      another layer whose outputs depend on more than one example.

  Example:
    >>> layers.KerasLayer(keras.layers.Flatten()).lipschitz_bound
    1.0
    >>> layers.KerasLayer(keras.layers.Dense(2)).lipschitz_bound is None
    True
  """

  def __init__(self, layer: keras.layers.Layer, **kwargs):
    for part in private_apis.sublayers(layer):
      errors.check(
          not _depends_on_more_than_its_input(part), 'g', (
              f'{type(part).__name__} ({part.name!r})'),
          'a function that is deterministic and treats every example on its '
          'own', 'Remove that layer; ActNorm outside of the block is the usual '
          'replacement for batch normalisation.')
    kwargs.setdefault('dtype', _dtype(layer))
    super().__init__(**kwargs)
    self.layer = layer
    if self.lipschitz_bound is not None:
      self.domain = self.codomain = None

  @property
  def lipschitz_bound(self) -> float | None:
    """The bound in `KERAS_BOUNDS`."""
    bound_fn = KERAS_BOUNDS.get(type(self.layer))
    return bound_fn(self.layer) if bound_fn else None

  def build(self, input_shape: Sequence) -> None:
    if not self.layer.built:
      self.layer.build(input_shape)

  def tensors(self) -> tuple[Any, Any]:
    kinds = (
        self.layer.trainable_variables, self.layer.non_trainable_variables)
    return [[tf.convert_to_tensor(v.value) for v in variables]
            for variables in kinds], []

  def evaluate(self, weights: Any, x: tf.Tensor) -> tf.Tensor:
    outputs, _ = self.layer.stateless_call(*weights, x)
    return outputs

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.layer(inputs)

  def compute_output_shape(self, input_shape: Sequence) -> tuple:
    # Works for layers that define nothing but `call`, too.
    return tuple(self.layer.compute_output_spec(
        keras.KerasTensor(input_shape, dtype=self.compute_dtype)).shape)

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return [
        part for part in private_apis.sublayers(self.layer)
        if isinstance(part, lipschitz_layer.LipschitzLayer)
        and part.num_constrained]

  def largest_event(self, input_shape: Sequence) -> int:
    return 0  # What is inside of it is not known.

  def structure(self) -> Any:
    if self.lipschitz_bound is None:
      return self.layer  # Its configuration may not tell all, if it has one.
    config = self.layer.get_config() | {'name': ''}
    return type(self), type(self.layer), json.dumps(
        config, sort_keys=True, default=str)

  def get_config(self) -> dict:
    return super().get_config() | {
        'layer': keras.saving.serialize_keras_object(self.layer)}

  @classmethod
  def from_config(cls, config: dict) -> 'KerasLayer':
    return cls(**config | {
        'layer': keras.saving.deserialize_keras_object(config['layer'])})


def _dtype(layer):
  """Returns the dtype that the layers within a layer compute in."""
  dtypes = {
      part.compute_dtype for part in private_apis.sublayers(layer)
      if not isinstance(part, (keras.Model, keras.layers.InputLayer))}
  # A functional model casts to the dtype of its inputs.
  dtypes.update(t.dtype for t in getattr(layer, 'inputs', None) or [])
  errors.check(
      len(dtypes) < 2, 'dtype', ' and '.join(sorted(dtypes)),
      f'the same for all layers of {layer.name!r}', 'Give them one dtype=.')
  return dtypes.pop() if dtypes else layer.compute_dtype


@keras.saving.register_keras_serializable('tf_resflow')
class Asserted(lipschitz_layer.LipschitzLayer):
  """A layer for whose Lipschitz bound the user vouches.

  Args:
    layer: a Lipschitz layer.
    lipschitz_bound: its bound in l_2.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of `layer`.

  Example:
    >>> g = layers.as_lipschitz_layer(
    ...     keras.layers.Dense(2), lipschitz_bound=0.9)
    >>> g.certificate()
    Certificate(bound=0.9, methods=('asserted',))
  """

  known_by = 'assertion'

  def __init__(self, layer: lipschitz_layer.LipschitzLayer,
               lipschitz_bound: float, **kwargs):
    kwargs.setdefault('dtype', layer.compute_dtype)
    super().__init__(**kwargs)
    self.layer = layer
    self.lipschitz_bound = lipschitz_bound

  def build(self, input_shape: Sequence) -> None:
    if not self.layer.built:
      self.layer.build(input_shape)

  def tensors(self) -> tuple[Any, Any]:
    return self.layer.tensors()

  def converge_norms(self, variables: Any, state: Any) -> Any:
    return self.layer.converge_norms(variables, state)

  def effective_weights(
      self, variables: Any, norms: Any, input_scale: Any = 1.0,
      output_scale: Any = 1.0) -> Any:
    return self.layer.effective_weights(variables, norms)

  def evaluate(self, weights: Any, x: tf.Tensor) -> tf.Tensor:
    return self.layer.evaluate(weights, x)

  def call(self, inputs: tf.Tensor) -> tf.Tensor:
    return self.layer(inputs)

  def compute_output_shape(self, input_shape: Sequence) -> tuple:
    return self.layer.compute_output_shape(input_shape)

  def largest_event(self, input_shape: Sequence) -> int:
    return self.layer.largest_event(input_shape)

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return self.layer.constrained_layers()

  def certificate(self, target: float = 1.0) -> lipschitz_layer.Certificate:
    return lipschitz_layer.Certificate(self.lipschitz_bound, ('asserted',))

  def structure(self) -> Any:
    return type(self), self.layer.structure()

  def get_config(self) -> dict:
    return super().get_config() | {
        'layer': keras.saving.serialize_keras_object(self.layer),
        'lipschitz_bound': self.lipschitz_bound}

  @classmethod
  def from_config(cls, config: dict) -> 'Asserted':
    return cls(**config | {
        'layer': keras.saving.deserialize_keras_object(config['layer'])})


def as_lipschitz_layer(
    layer: keras.layers.Layer, lipschitz_bound: float | None = None,
) -> lipschitz_layer.LipschitzLayer:
  """Returns a Keras layer as one that knows its bound.

  A `keras.Sequential` becomes a `Sequence` of its layers, and of those of the
  `keras.Sequential`s within, which share their variables with it. They are
  called one by one in their own dtype: the model itself would cast its input
  to another.

  Args:
    layer: a Lipschitz layer, which is returned as it is, or a Keras layer.
    lipschitz_bound: asserts `Lip(layer) <= lipschitz_bound` in l_2.

  Example:
    >>> layers.as_lipschitz_layer(keras.Sequential([
    ...     layers.SpectralDense(8, coeff=0.9), layers.ELU(),
    ...     layers.SpectralDense(2, coeff=0.5)])).lipschitz_bound
    0.45
  """
  if lipschitz_bound is not None:
    return Asserted(as_lipschitz_layer(layer), lipschitz_bound)
  if isinstance(layer, lipschitz_layer.LipschitzLayer):
    return layer
  if type(layer) is keras.Sequential:
    return sequence.Sequence(_parts(layer), name=layer.name)
  return KerasLayer(layer)


def _parts(layer):
  """Returns the layers that a `keras.Sequential` calls one after another."""
  if type(layer) is not keras.Sequential:
    return [as_lipschitz_layer(layer)]
  return [p for part in layer.layers for p in _parts(part)]
