"""A Keras layer as a pure function of its variables."""

import collections
import math

import keras
import tensorflow as tf

from tf_resflow.layers import activations
from tf_resflow.layers import spectral


def tensors(layer):
  """Returns the values of a layer's variables.

  Args:
    layer: a built Keras layer or model.

  Returns:
    `variables`, and `constants`: the state of power iterations.
  """
  return tuple(
      [tf.convert_to_tensor(v.value) for v in part] for part in _split(layer))


def settle(layer, variables, constants):
  """Follows the singular vectors of every constrained layer.

  Args:
    layer: a built Keras layer or model.
    variables: see `tensors`.
    constants: see `tensors`.

  Returns:
    A list with the vectors `v` and the norm `sigma` of every constrained layer,
    one after another.
  """
  own_variables, own_constants = _split(layer)
  mapping = [*zip(own_variables, variables, strict=True),
             *zip(own_constants, constants, strict=True)]
  settled = []
  with keras.StatelessScope(state_mapping=mapping):
    for sublayer in _spectral_layers(layer):
      result, _ = sublayer.power_iteration()
      settled += [result.v, result.sigma]
  return settled


def prepare(layer, variables, settled):
  """Returns the weights that a layer computes with.

  Kernels of constrained layers appear normalised, so that this is done once
  and not at every evaluation of the layer. A `LipSwish` between two of them is
  `swish(s x) / (1.1 s)`: its scales appear in the kernels and the bias around
  it, which saves passes over hidden layers. Differentiable: gradients go on to
  the raw kernels and to `beta`.

  Args:
    layer: a built Keras layer or model.
    variables: see `tensors`.
    settled: what `settle` returned for them.

  Returns:
    A list of tensors, one per element of `variables`, for `apply`.
  """
  own_variables, _ = _split(layer)
  kernels = {
      id(sublayer.kernel): (sublayer, v, sigma)
      for sublayer, v, sigma in zip(
          _spectral_layers(layer), settled[::2], settled[1::2], strict=True)
  }
  mapping = list(zip(own_variables, variables, strict=True))
  with keras.StatelessScope(state_mapping=mapping):
    scales = collections.defaultdict(list)
    for before, activation, after in _folded(layer):
      for variable in (before.kernel, before.bias):
        scales[id(variable)].append(activation.input_scale)
      scales[id(after.kernel)].append(activation.output_scale)

    def effective(variable, tensor):
      scale = math.prod(scales.get(id(variable), []))
      if id(variable) in kernels:
        sublayer, v, sigma = kernels[id(variable)]
        return sublayer.normalized_kernel(scale, v, sigma)
      return scale * tensor if id(variable) in scales else tensor

    return [effective(variable, tensor) for variable, tensor in mapping]


def apply(layer, weights, inputs):
  """Evaluates a layer with given weights.

  Args:
    layer: a built Keras layer or model that acts example by example,
      deterministically and without updates of its state.
    weights: as returned by `prepare`.
    inputs: `[B, ...]`.

  Returns:
    What `layer(inputs)` returns when its variables have these values.
  """
  mapping = list(zip(_split(layer)[0], weights, strict=True))
  folded = {id(activation) for _, activation, _ in _folded(layer)}
  with keras.StatelessScope(state_mapping=mapping):
    with spectral.kernels_are_normalized():
      for part in _parts(layer):
        inputs = (activations.swish(inputs) if id(part) in folded else
                  part(inputs))
      return inputs


# Larger parts were not faster on two cores.
_PART_BYTES = 4 * 2**20


def max_examples(layer):
  """Returns how many examples a pass should take at a time, or None for all.

  As many as keep a hidden layer of them within 4 MiB: a backward pass needs
  some twenty such tensors. GPUs need large batches, and take all.

  Args:
    layer: a built Keras layer or model.
  """
  if tf.config.list_logical_devices('GPU'):
    return None
  sizes = [
      math.prod(sublayer.spatial_shape or ()) * sublayer.kernel.shape[-1] *
      tf.as_dtype(sublayer.compute_dtype).size
      for sublayer in _spectral_layers(layer)]
  return max(1, _PART_BYTES // max(sizes)) if sizes else None


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
  for part in _parts(layer):
    inputs = part(inputs)
  return inputs


def _spectral_layers(layer):
  """Returns the constrained layers within a layer."""
  return [
      sublayer for sublayer in layer._flatten_layers()  # pylint: disable=protected-access
      if isinstance(sublayer, spectral.SpectralLayer)]


def _split(layer):
  """Returns the variables of a layer, and those of power iterations apart."""
  states = {
      id(variable) for sublayer in _spectral_layers(layer)
      for variable in (sublayer.v, sublayer.fingerprint)}
  return ([v for v in layer.variables if id(v) not in states],
          [v for v in layer.variables if id(v) in states])


def _parts(layer):
  """Returns what a Sequential calls one after another; else the layer."""
  if not isinstance(layer, keras.Sequential):
    return [layer]
  return [part for sublayer in layer.layers for part in _parts(sublayer)]


def _folded(layer):
  """Returns `(before, activation, after)` for the scales that kernels take."""
  parts = _parts(layer)
  # A layer that occurs twice has other neighbours there.
  uses = collections.Counter(id(v) for part in parts for v in part.variables)
  return [
      neighbours
      for neighbours in zip(parts, parts[1:], parts[2:], strict=False)
      if isinstance(neighbours[0], spectral.SpectralLayer)
      and type(neighbours[1]) is activations.LipSwish
      and isinstance(neighbours[2], spectral.SpectralLayer)
      and all(uses[id(v)] == 1 for part in neighbours for v in part.variables)]
