"""TFP bijectors with the names and arguments of the layers that they adapt."""

from collections.abc import Callable, Sequence
import inspect
import re

import keras

from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector
from tf_resflow.numerics import random


def _common(
    event_shape: Sequence[int] | None = None, dtype: str | None = None,
    layer: layers.Bijection | None = None, seed: random.SeedLike = None,
    name: str = '') -> None:
  """As a bijector, whose `forward` maps `x` to `y`, it takes further arguments.

  Args:
    event_shape: shape of one event of `forward`'s input, `[H, W, C]` or `[D]`;
      needed unless the layer, or the `g` of a block, is built.
    dtype: float32 or float64; that of the layer by default.
    layer: a layer of the same class name, to adapt in place of a new one.
    seed: Python int or int32 `[2]` that fixes the draws of every call, unless
      the layer has one of its own, above; with None they differ.
    name: name of the bijector.
  """


def adapt(
    layer_class: type[layers.Bijection],
) -> Callable[..., layer_bijector.LayerBijector]:
  """Returns the bijector class that adapts a class of layers.

  Its arguments and docstring are those of the layer and of `_common`, with
  `event_shape` after what the layer requires. Copies of a bijector share its
  weights: its layer, or the layers that it is composed of, with other settings.
  """
  signature, defaults = _signature(layer_class)

  class Adapted(layer_bijector.LayerBijector):
    __doc__ = f'{inspect.getdoc(layer_class)}\n\n{inspect.getdoc(_common)}'

    def __init__(self, *args, **kwargs):
      # Beside a layer, required arguments are left out: it has them.
      bound = signature.bind_partial(self, *args, **kwargs)
      given = {k: v for k, v in bound.arguments.items()
               if k in defaults and v is not defaults[k]}
      bound.apply_defaults()
      values = bound.arguments
      layer = values['layer']
      errors.check(
          layer is None or not given, 'layer', layer and layer.name,
          problem=f'cannot be used with {", ".join(given)}',
          advice='Pass all settings to the layer itself.')
      # Arguments of a copy: the layers that own the weights.
      parameters = dict(values)
      if layer is None:
        dtype = {} if values['dtype'] is None else {'dtype': values['dtype']}
        layer = layer_class(**given, **dtype)
      if not any(isinstance(v, keras.layers.Layer) for v in given.values()):
        parameters = {k: v for k, v in values.items() if k not in defaults} | {
            'layer': layer}
      super().__init__(
          layer, _event_shape(values, layer, given.get('g')),
          None if 'seed' in defaults else values['seed'],
          name=values['name'], parameters=parameters)

    __init__.__dict__['__signature__'] = signature

  Adapted.__name__ = Adapted.__qualname__ = layer_class.__name__
  return Adapted


def _signature(layer_class):
  """Returns that of the bijector, and the defaults of the layer's arguments.

  The default of a required one is None, which says that it is left out.
  """
  this, *settings, _ = inspect.signature(
      layer_class.__init__).parameters.values()
  required = [p for p in settings if p.default is p.empty]
  optional = [p for p in settings if p.default is not p.empty]
  defaults = dict.fromkeys(p.name for p in required) | {
      p.name: p.default for p in optional}
  event_shape, *common, name = inspect.signature(_common).parameters.values()
  # As Keras does, but for the 1x1 of a convolution.
  default_name = re.sub(
      '(?<=[a-z]{2})(?=[A-Z0-9])', '_', layer_class.__name__).lower()
  return inspect.Signature([
      this, *required, event_shape, *optional,
      *(p for p in common if p.name not in defaults),
      name.replace(default=default_name)]), defaults


def _event_shape(values, layer, g):
  """Returns the given event shape, or that of the built layer or its `g`."""
  shape = values['event_shape']
  if shape is None:
    shape = _known_event_shape(layer) or _known_event_shape(g)
  errors.check(
      shape is not None, 'event_shape', None,
      'the shape of one event, without the batch axis',
      f'The layer of {values["name"]} is not built: give event_shape, or '
      'start g with a keras.Input.')
  return shape


def _known_event_shape(layer):
  """Returns the event shape of a built layer; None for other layers."""
  if layer is None or not layer.built:
    return None
  shape = getattr(layer, 'input_shape', None) or (
      layer.get_build_config() or {}).get('input_shape')
  return None if shape is None or None in shape[1:] else shape[1:]


ActNorm = adapt(layers.ActNorm)
AffineCoupling = adapt(layers.AffineCoupling)
ColumnMaps = adapt(layers.ColumnMaps)
Conditional = adapt(layers.Conditional)
ConditionalAffine = adapt(layers.ConditionalAffine)
ConditionalLinear = adapt(layers.ConditionalLinear)
FactorOut = adapt(layers.FactorOut)
FeatureTap = adapt(layers.FeatureTap)
Flatten = adapt(layers.Flatten)
Inverse = adapt(layers.Inverse)
InvertibleConv1x1 = adapt(layers.InvertibleConv1x1)
InvertibleLinear = adapt(layers.InvertibleLinear)
Logit = adapt(layers.Logit)
MonotoneBlock = adapt(layers.MonotoneBlock)
MovingMean = adapt(layers.MovingMean)
ResidualBlock = adapt(layers.ResidualBlock)
Squeeze = adapt(layers.Squeeze)
Standardize = adapt(layers.Standardize)
VariationalDequantization = adapt(layers.VariationalDequantization)
