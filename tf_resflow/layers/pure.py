"""A Keras layer as a pure function of its effective weights."""

import keras
import tensorflow as tf

from tf_resflow.layers import spectral


def effective_weights(layer):
  """Returns the tensors that a layer computes with.

  Kernels of constrained layers appear normalised, so that the norm is taken
  once and not at every evaluation of the layer. Differentiable: the gradient
  of a normalised kernel goes on to the raw one.

  Args:
    layer: a built Keras layer or model.

  Returns:
    A list of tensors, one per variable of `layer.variables`.
  """
  normalized = {
      id(sublayer.kernel): sublayer.normalized_kernel()
      for sublayer in layer._flatten_layers()  # pylint: disable=protected-access
      if isinstance(sublayer, spectral.SpectralLayer)
  }
  return [
      normalized[id(variable)] if id(variable) in normalized else
      tf.convert_to_tensor(variable.value) for variable in layer.variables
  ]


def apply(layer, weights, inputs):
  """Evaluates a layer with given effective weights.

  Args:
    layer: a built Keras layer or model that acts example by example,
      deterministically and without updates of its state.
    weights: as returned by `effective_weights`.
    inputs: `[B, ...]`.

  Returns:
    What `layer(inputs)` returns when its variables have these values.
  """
  mapping = list(zip(layer.variables, weights, strict=True))
  with keras.StatelessScope(state_mapping=mapping):
    with spectral.kernels_are_normalized():
      return call(layer, inputs)


def call(layer, inputs):
  """Evaluates a layer in the dtype of its parts.

  A `keras.Sequential` casts its input to its own dtype, the global one unless
  told otherwise: float64 layers would silently see float32 numbers. Its parts
  are called one by one instead.

  Args:
    layer: a Keras layer or model.
    inputs: `[B, ...]`.

  Returns:
    The outputs.
  """
  if not isinstance(layer, keras.Sequential):
    return layer(inputs)
  for sublayer in layer.layers:
    inputs = call(sublayer, inputs)
  return inputs
