"""Layers as TFP bijectors, by the names and arguments of the layers."""

from collections.abc import Sequence
import inspect
import re

from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


def _common(
    event_shape: Sequence[int], dtype: str | None = None,
    layer: layers.Bijection | None = None, name: str = '') -> None:
  """Stands for what all these bijectors take beside a layer's own arguments.

  Args:
    event_shape: shape of one event of `forward`'s input, `[H, W, C]` or `[D]`.
    dtype: float32 or float64; that of the layer by default.
    layer: one of this name in `layers`, to adapt in place of a new one.
    name: of the bijector.
  """


def adapt(
    layer_class: type[layers.Bijection]) -> type[layer_bijector.LayerBijector]:
  """Returns the class of bijectors that compute what layers of a class do.

  Its arguments are those of the layer, `event_shape` behind the required ones,
  and those of `LayerBijector`; its docstring is that of the layer, with these
  arguments. Copies of a bijector share its layer.

  Args:
    layer_class: a class of layers that passes `**kwargs` on to Keras.
  """
  this, *settings, _ = inspect.signature(
      layer_class.__init__).parameters.values()
  event_shape, *common, name = inspect.signature(_common).parameters.values()
  # As Keras, but for the 1x1 of a convolution.
  default_name = re.sub(
      '(?<=[a-z]{2})(?=[A-Z0-9])', '_', layer_class.__name__).lower()
  signature = inspect.Signature([
      this, *(p for p in settings if p.default is p.empty), event_shape,
      *(p for p in settings if p.default is not p.empty), *common,
      name.replace(default=default_name)])

  class Adapted(layer_bijector.LayerBijector):
    __doc__ = _docstring(layer_class, signature.parameters)

    def __init__(self, *args, **kwargs):
      bound = signature.bind(self, *args, **kwargs)
      bound.apply_defaults()
      values = bound.arguments
      if values['layer'] is None:
        dtype = {} if values['dtype'] is None else {'dtype': values['dtype']}
        values['layer'] = layer_class(
            **{p.name: values[p.name] for p in settings}, **dtype)
      super().__init__(
          values['layer'], values['event_shape'], name=values['name'],
          parameters=values)

    __init__.__signature__ = signature

  Adapted.__name__ = Adapted.__qualname__ = layer_class.__name__
  return Adapted


def _docstring(layer_class, names):
  """Returns the text of a layer with the arguments of its bijector."""
  head, arguments, tail = _parts(layer_class.__doc__)
  arguments |= _parts(_common.__doc__)[1]
  entries = '\n'.join(arguments[name] for name in names if name in arguments)
  return (f'{head}\nThe bijector of `layers.{layer_class.__name__}`: `forward` '
          f'maps `x` to `y`.\n\nArgs:\n{entries}\n\n{tail}')


def _parts(docstring):
  """Returns what stands before `Args:`, its entries by their names, the rest.
  """
  head, _, rest = inspect.cleandoc(docstring or '').partition('\nArgs:\n')
  entries, _, tail = rest.partition('\n\n')
  return head, {
      entry.partition(':')[0].strip(): entry.rstrip()
      for entry in re.split(r'^(?=  \S)', entries, flags=re.M) if entry}, tail


ActNorm = adapt(layers.ActNorm)
AffineCoupling = adapt(layers.AffineCoupling)
InvertibleConv1x1 = adapt(layers.InvertibleConv1x1)
InvertibleLinear = adapt(layers.InvertibleLinear)
Logit = adapt(layers.Logit)
Squeeze = adapt(layers.Squeeze)
