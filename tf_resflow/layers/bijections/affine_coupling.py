"""The affine coupling layer of Real NVP."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.layers.conditions import conditioning
from tf_resflow.layers.lipschitz import keras_layer
from tf_resflow.layers.lipschitz import lipschitz_layer
from tf_resflow.numerics import differentiation
from tf_resflow.specs import registries


@base_layer.configured
class AffineCoupling(bijection.Bijection):
  """An affine coupling: one part of an event scales and shifts the other.

    y_a = x_a,   y_b = x_b s + t,   s = sigmoid(f_s + 2),   (f_s, t) = f(x_a)
    x_b = (y_b - t) / s,   log_det = sum log s

  Both are exact, and `f` may be any network, without constraints.

  Args:
    network: `f`, a Keras layer or model that treats every example on its own.
      Its outputs are `f_s`, then `t`, along the last axis. With a
      `ConditionShift` in it the coupling takes a condition `[B, K]`.
    mask: selects the part that passes, a name of `registries.MASKS`. With
      'channel' it is the first half of the channels, and `f` maps
      `[..., C / 2] -> [..., C]`. With 'checkerboard' it is every other pixel,
      and `f` maps `[H, W, C]` with zeros in between to `[H, W, 2 C]`.
    swap: whether the two parts swap roles, as they do from block to block.
    shape: shape of an event for the mask; that of the input by default.

  Raises:
    InvalidValueError: if the mask does not apply to the events, such as a
      single channel, the network returns another shape, or contains a
      layer that is not a function of one example, such as batch normalisation.

  Example:
    >>> f = keras.Sequential([
    ...     keras.layers.Dense(32, 'relu'), keras.layers.Dense(4)])
    >>> coupling = layers.AffineCoupling(f)
    >>> y, log_det = coupling.forward_and_log_det(tf.ones([5, 4]))
    >>> np.allclose(coupling.inverse(y), 1.0, atol=1e-5)
    True

  References:
    Dinh et al., 2017, Real NVP, Sections 3.2 to 3.4; Chen et al., 2019,
    Residual Flows, Section 5.4 (the coupling blocks of Tables 4 and 5).
  """

  def __init__(self, network: keras.layers.Layer, mask: str = 'channel',
               swap: bool = False, shape: Sequence[int] | None = None,
               **kwargs):
    adapted = keras_layer.as_lipschitz_layer(network)
    kwargs.setdefault('dtype', adapted.compute_dtype)
    super().__init__(**kwargs)
    self.network = adapted
    self.condition_spec = conditioning.common_spec(adapted.conditional_layers())
    self._network_name = network.name
    self.mask = registries.MASKS.check(mask)
    self.swap = swap
    self.shape = None if shape is None else tuple(shape)

  def build(self, input_shape: tuple) -> None:
    shape = tuple(input_shape[1:]) if self.shape is None else self.shape
    self._halves = registries.MASKS.get(self.mask)(shape, swap=self.swap)
    network_shape = (None, *self._halves.network_shape)
    base_layer.build_once(self.network, network_shape)
    output_shape = tuple(self.network.compute_output_shape(network_shape)[1:])
    errors.check(
        output_shape == self._halves.output_shape, 'network',
        self._network_name, f'outputs {self._halves.output_shape} for inputs '
        f'{self._halves.network_shape}, not {output_shape}',
        'They are scales and shifts, in this order.')

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    passed, rest, log_scale, shift = self._split(x, settings.condition)
    return PassResult(
        self._join(passed, rest * tf.exp(log_scale) + shift, x),
        differentiation.sum_per_example(log_scale))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    passed, rest, log_scale, shift = self._split(y, settings.condition)
    return PassResult(
        self._join(passed, (rest - shift) * tf.exp(-log_scale), y),
        -differentiation.sum_per_example(log_scale))

  def _split(self, x, condition):
    """Returns both parts, and the log-scale and the shift of the second."""
    passed, rest = self._halves.split(x if self.shape is None else tf.reshape(
        x, [tf.shape(x)[0], *self.shape]))
    raw_scale, shift = tf.split(
        base_layer.call_with(self.network, passed, condition), 2, axis=-1)
    return (passed, rest,
            self._halves.restrict(tf.math.log_sigmoid(raw_scale + 2.0)),
            self._halves.restrict(shift))

  def _join(self, passed, rest, like):
    """Returns the event of two parts, in the shape of `like`."""
    y = self._halves.join(passed, rest)
    return y if self.shape is None else tf.reshape(
        y, [tf.shape(y)[0], *like.shape[1:]])

  def constrained_layers(self) -> list[lipschitz_layer.LipschitzLayer]:
    return self.network.constrained_layers()
