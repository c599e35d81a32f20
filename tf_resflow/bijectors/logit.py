"""The logit transform of pixels as a TFP bijector."""

from collections.abc import Sequence

from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


class Logit(layer_bijector.LayerBijector):
  """`forward(x) = logit(alpha + (1 - 2 alpha) x)` for events in [0, 1].

  Unlike `tfb.Invert(tfb.Sigmoid())` it is finite at 0 and 1.

  Args:
    event_shape: shape of one event.
    alpha: in (0, 1/2).
    dtype: float32 or float64.
    caching: see `LayerBijector`.
    name: of the bijector.

  Example:
    >>> logit = bijectors.Logit([2])
    >>> logit.inverse(logit.forward([[0.0, 1.0]])).numpy().tolist()
    [[0.0, 1.0]]

  References:
    Dinh et al., 2017, Real NVP, Section 4.1.
  """

  def __init__(
      self, event_shape: Sequence[int], alpha: float = 0.05,
      dtype: str = 'float32', caching: bool = True, name: str = 'logit'):
    super().__init__(
        layers.Logit(alpha, dtype=dtype), event_shape, caching=caching,
        name=name, parameters=locals())
