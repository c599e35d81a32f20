"""ActNorm as a TFP bijector."""

from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


class ActNorm(layer_bijector.LayerBijector):
  """`forward(x) = (x + bias) * exp(log_scale)` per channel (the last axis).

  The first batch that goes forward initialises it to mean 0 and variance 1;
  see `layers.ActNorm`.

  Args:
    event_shape: shape of one event, `[H, W, C]` or `[D]`.
    variance_floor: smallest variance that initialisation divides by.
    dtype: float32 or float64.
    layer: a `layers.ActNorm` to adapt, in place of a new one.
    name: of the bijector.

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.1.
  """

  def __init__(
      self, event_shape, variance_floor=0.2, dtype='float32', layer=None,
      name='act_norm'):
    if layer is None:
      layer = layers.ActNorm(variance_floor=variance_floor, dtype=dtype)
    # A `copy` of the bijector shares the layer.
    parameters = dict(locals())
    super().__init__(
        layer, event_shape=event_shape, event_ndims=len(event_shape),
        name=name, parameters=parameters)
