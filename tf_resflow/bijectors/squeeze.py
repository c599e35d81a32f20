"""Invertible downsampling as a TFP bijector."""

from collections.abc import Sequence

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
      self, event_shape: Sequence[int], factor: int = 2,
      dtype: str = 'float32', caching: bool = True, name: str = 'squeeze'):
    super().__init__(
        layers.Squeeze(factor, dtype=dtype), event_shape, caching=caching,
        name=name, parameters=locals())
