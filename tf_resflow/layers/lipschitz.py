"""The Lipschitz bound of a Keras layer, as far as it is known."""

import keras

from tf_resflow.layers import act_norm
from tf_resflow.layers import activations
from tf_resflow.layers import spectral

# Keras layers that only rearrange their input.
_ISOMETRIES = (
    keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape,
    keras.layers.Permute, keras.layers.Identity)

# By identity: another function may carry the name of one of these.
_ACTIVATION_CONSTANTS = {
    keras.activations.linear: 1.0, keras.activations.relu: 1.0,
    keras.activations.elu: 1.0, keras.activations.softplus: 1.0,
    keras.activations.tanh: 1.0, keras.activations.sigmoid: 0.25,
    keras.activations.softsign: 1.0}

# ActNorm because its first batch sets its weights.
_NOT_A_FUNCTION = (
    keras.layers.BatchNormalization, keras.layers.Dropout, act_norm.ActNorm)


def check_is_function(layer):
  """Refuses layers that mix examples or draw at random.

  Args:
    layer: a Keras layer or model.

  Raises:
    ValueError: naming the offending layer.
  """
  for sublayer in layer._flatten_layers():  # pylint: disable=protected-access
    # A layer with a seed generator draws at random.
    draws = any(
        isinstance(value, keras.random.SeedGenerator)
        for value in vars(sublayer).values())
    if draws or isinstance(sublayer, _NOT_A_FUNCTION):
      raise ValueError(
          f'g contains {type(sublayer).__name__} ({sublayer.name!r}); a '
          'residual block needs a g that is deterministic and treats every '
          'example on its own. Remove that layer; ActNorm outside of the block '
          'is the usual replacement for batch normalisation.')


def known_bound(layer):
  """Returns an upper bound of a layer's Lipschitz constant, or None.

  Known are the layers of this package, Keras layers that rearrange their
  input, Keras activations of slope at most one, and `keras.Sequential` of
  such.

  Args:
    layer: a Keras layer or model.

  Returns:
    A Python float, or None when any part is not known.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(8, coeff=0.9), layers.ELU(),
    ...     layers.SpectralDense(2, coeff=0.5)])
    >>> layers.known_bound(g)
    0.45
    >>> layers.known_bound(keras.layers.Dense(2)) is None
    True
  """
  if isinstance(layer, spectral.SpectralLayer):
    return layer.lipschitz_bound
  if isinstance(layer, activations.LipschitzActivation):
    return layer.lipschitz_constant
  if isinstance(layer, _ISOMETRIES):
    return 1.0
  if isinstance(layer, keras.layers.Activation):
    return _ACTIVATION_CONSTANTS.get(layer.activation)
  if isinstance(layer, keras.Sequential):
    bound = 1.0
    for sublayer in layer.layers:
      factor = known_bound(sublayer)
      if factor is None:
        return None
      bound *= factor
    return bound
  return None
