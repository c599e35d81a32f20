"""Factoring out: a part of the numbers leaves, the rest goes on."""

from collections.abc import Sequence
import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections import composite
from tf_resflow.layers.bijections import masks


@base_layer.configured
class Split(composite.Composite):
  """The first channels go through a bijection, the others leave.

    y = [flatten(x[..., c:]), flatten(rest(x[..., :c]))],  c = channels // 2

  with the log-determinant of `rest`.

  Args:
    rest: what the first half of the channels, rounded down, goes through.
    num_taps: how often the part that leaves is a feature, see `FeatureTap`.
    **kwargs: of `keras.layers.Layer`; `dtype` is that of `rest`.

  Example:
    >>> split = layers.Split(layers.ActNorm())
    >>> y, log_det = split.forward_and_log_det(tf.random.normal([64, 2, 2, 4]))
    >>> y.shape, split.inverse(y).shape
    (TensorShape([64, 16]), TensorShape([64, 2, 2, 4]))

  References:
    Dinh et al., 2017, Real NVP, Section 3.6.
  """

  keeps_shape = False

  def __init__(self, rest: bijection.Bijection, num_taps: int = 0,
               **kwargs):
    kwargs.setdefault('dtype', rest.compute_dtype)
    super().__init__(**kwargs)
    self.rest = rest
    self.num_taps = num_taps

  @property
  def parts(self) -> list[bijection.Bijection]:
    return [self.rest]

  def with_parts(self, parts: Sequence[bijection.Bijection]
                 ) -> bijection.Bijection:
    return Split(*parts, self.num_taps, name=self.name, dtype=self.dtype_policy)

  def build(self, input_shape: tuple) -> None:
    *shape, channels = input_shape[1:]
    errors.check(channels > 1, 'input_shape', tuple(input_shape),
                 '2 channels or more', 'Nothing would go on otherwise.')
    self._halves = masks.Channel(input_shape[1:])
    self._leaving_shape = (*shape, channels - channels // 2)
    kept_shape = (None, *self._halves.network_shape)
    base_layer.build_once(self.rest, kept_shape)
    self._rest_shape = tuple(self.rest.compute_output_shape(kept_shape)[1:])

  def compute_output_shape(self, input_shape: tuple) -> tuple:
    return input_shape[0], math.prod(input_shape[1:])

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    kept, leaving = self._halves.split(x)
    result = self.rest.forward_pass(kept, settings)
    return result._replace(
        value=self._join(leaving, result.value),
        features=(leaving,) * self.num_taps + result.features)

  def _join(self, leaving, y):
    """Returns what has left before what went on, flattened."""
    size = tf.shape(y)[0]
    return tf.concat([
        tf.reshape(leaving, [size, math.prod(self._leaving_shape)]),
        tf.reshape(y, [size, math.prod(self._rest_shape)])], axis=1)

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    size = tf.shape(y)[0]
    leaving, rest = tf.split(y, [
        math.prod(self._leaving_shape), math.prod(self._rest_shape)], axis=1)
    result = self.rest.inverse_pass(
        tf.reshape(rest, [size, *self._rest_shape]), settings)
    return result._replace(value=self._halves.join(
        result.value, tf.reshape(leaving, [size, *self._leaving_shape])))

  def slope_bounds(self) -> bijection.SlopeBounds:
    bounds = self.rest.slope_bounds()
    return bounds._replace(
        least=min(bounds.least, 1.0), greatest=max(bounds.greatest, 1.0))
