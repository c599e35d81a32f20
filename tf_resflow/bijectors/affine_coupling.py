"""The affine coupling as a TFP bijector."""

from collections.abc import Sequence

import keras

from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


class AffineCoupling(layer_bijector.LayerBijector):
  """`forward` scales and shifts one part of an event as the other part says.

  See `layers.AffineCoupling`.

  Args:
    network: a Keras layer or model that treats every example on its own.
    event_shape: shape of one event, `[H, W, C]` or `[D]`.
    mask: 'channel' or 'checkerboard': which part passes.
    swap: whether the two parts change their roles.
    caching: see `LayerBijector`.
    name: of the bijector.

  Example:
    >>> f = keras.Sequential([
    ...     keras.layers.Dense(32, 'relu'), keras.layers.Dense(2)])
    >>> coupling = bijectors.AffineCoupling(f, event_shape=[2])
    >>> density = tfd.TransformedDistribution(
    ...     tfd.MultivariateNormalDiag(tf.zeros(2)), tfb.Invert(coupling))
    >>> density.log_prob(density.sample(5)).shape
    TensorShape([5])

  References:
    Dinh et al., 2017, Real NVP, Sections 3.2 to 3.4.
  """

  def __init__(
      self, network: keras.layers.Layer, event_shape: Sequence[int],
      mask: str = 'channel', swap: bool = False, caching: bool = True,
      name: str = 'affine_coupling'):
    super().__init__(
        layers.AffineCoupling(network, mask, swap), event_shape,
        caching=caching, name=name, parameters=locals())
