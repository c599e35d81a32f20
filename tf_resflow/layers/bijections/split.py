"""Factoring out: a part of the numbers leaves, the rest goes on."""

import math
from typing import Any

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections import masks


@base_layer.configured
class Split(bijection.SolvingBijection):
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

  def __init__(self, rest: bijection.Bijection, num_taps: int = 0,
               **kwargs):
    kwargs.setdefault('dtype', rest.compute_dtype)
    super().__init__(**kwargs)
    self.rest = rest
    self.num_taps = num_taps
    self.is_random = rest.is_random
    self.condition_spec = rest.condition_spec
    self.has_moving_statistics = rest.has_moving_statistics

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

  def transform(self, x: tf.Tensor, **settings: Any) -> bijection.Transformed:
    base_layer.build_once(self, x.shape)
    kept, leaving = self._halves.split(x)
    result = self.rest.transform(kept, **settings)
    return result._replace(
        y=self._join(leaving, result.y),
        features=(leaving,) * self.num_taps + result.features)

  def call(self, inputs: tf.Tensor, condition: Any = None) -> tf.Tensor:
    kept, leaving = self._halves.split(inputs)
    return self._join(
        leaving, base_layer.call_with(self.rest, kept, condition))

  def update_statistics(
      self, x: tf.Tensor, condition: Any = None) -> tf.Tensor:
    base_layer.build_once(self, x.shape)
    kept, leaving = self._halves.split(x)
    return self._join(leaving, self.rest.update_statistics(kept, condition))

  def _join(self, leaving, y):
    """Returns what has left before what went on, flattened."""
    size = tf.shape(y)[0]
    return tf.concat([
        tf.reshape(leaving, [size, math.prod(self._leaving_shape)]),
        tf.reshape(y, [size, math.prod(self._rest_shape)])], axis=1)

  def solve_inverse(self, y: tf.Tensor, **settings: Any) -> bijection.Inverted:
    size = tf.shape(y)[0]
    leaving, rest = tf.split(y, [
        math.prod(self._leaving_shape), math.prod(self._rest_shape)], axis=1)
    result = self.rest.solve_inverse(
        tf.reshape(rest, [size, *self._rest_shape]), **settings)
    return result._replace(x=self._halves.join(
        result.x, tf.reshape(leaving, [size, *self._leaving_shape])))

  def slope_bounds(self) -> bijection.SlopeBounds:
    bounds = self.rest.slope_bounds()
    return bounds._replace(
        least=min(bounds.least, 1.0), greatest=max(bounds.greatest, 1.0))

  def frozen(self) -> bijection.Bijection:
    split = Split(self.rest.frozen(), self.num_taps, name=self.name,
                  dtype=self.dtype_policy)
    split.build_from_config(self.get_build_config())
    return split

  def elementary(self) -> list[bijection.Bijection]:
    return self.rest.elementary()
