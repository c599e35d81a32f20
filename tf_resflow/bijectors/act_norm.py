"""ActNorm as a TFP bijector."""

from collections.abc import Sequence

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
    caching: see `LayerBijector`.
    name: of the bijector.

  Example:
    >>> norm = bijectors.ActNorm([3])
    >>> x = tf.random.stateless_normal([64, 3], [0, 0])
    >>> y = norm.forward(5.0 + 2.0 * x)
    >>> np.allclose(tf.math.reduce_std(y, axis=0), 1.0, atol=1e-4)
    True

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.1.
  """

  def __init__(
      self, event_shape: Sequence[int], variance_floor: float = 0.2,
      dtype: str = 'float32', layer: layers.ActNorm | None = None,
      caching: bool = True, name: str = 'act_norm'):
    # A `copy` of the bijector shares the layer.
    layer = layer or layers.ActNorm(
        variance_floor=variance_floor, dtype=dtype)
    super().__init__(
        layer, event_shape, caching=caching, name=name, parameters=locals())
