"""Invertible downsampling as a TFP bijector."""

from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


class Squeeze(layer_bijector.LayerBijector):
  """`[H, W, C] -> [H/r, W/r, C r^2]`, channels ordered (channel, row, column).

  Args:
    event_shape: `[H, W, C]` of the input of `forward`.
    factor: `r`.
    dtype: float32 or float64.
    caching: see `LayerBijector`.
    name: of the bijector.

  Example:
    >>> bijectors.Squeeze([8, 8, 1]).forward(tf.zeros([5, 8, 8, 1])).shape
    TensorShape([5, 4, 4, 4])

  References:
    Dinh et al., 2017, Real NVP, Section 3.6.
  """

  def __init__(
      self, event_shape, factor=2, dtype='float32', caching=True,
      name='squeeze'):
    parameters = dict(locals())
    r = factor
    super().__init__(
        layers.Squeeze(factor, dtype=dtype), event_shape=event_shape,
        event_ndims=3,
        forward_event_shape_fn=lambda s: [s[0] // r, s[1] // r, s[2] * r * r],
        inverse_event_shape_fn=lambda s: [s[0] * r, s[1] * r, s[2] // (r * r)],
        caching=caching, name=name, parameters=parameters)
