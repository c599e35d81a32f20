"""Scales and shifts that depend on a condition alone."""

import math
from typing import Any

import keras
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections import conditioning
from tf_resflow.numerics import differentiation


@base_layer.configured
class ConditionalAffine(bijection.Bijection):
  """`y = (x - t(c)) exp(-s(c))`, with `s = b tanh(W_s c / b)`, `t = W_t c`.

  Behind an ActNorm it makes that one conditional; as the last bijection of a
  flow it gives the base distribution a mean and a scale that depend on the
  condition, `z ~ N(t(c), diag exp(2 s(c)))`: what it returns is standard normal
  where `z` is so distributed.

  Args:
    condition_size: `K`, numbers of a condition `[B, K]`.
    per_feature: one scale and shift per entry of the event, not per channel
      (the last axis).
    max_log_scale: `b`, the bound of `|s|`, whatever the condition.
    kernel_initializer: Keras initializer of both matrices; with zeros, the
      default, it begins as the identity.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> affine = layers.ConditionalAffine(4)
    >>> y, log_det = affine.forward_and_log_det(
    ...     tf.ones([5, 3]), condition=tf.ones([5, 4]))
    >>> bool(tf.reduce_all(y == 1.0))
    True
  """

  def __init__(
      self, condition_size: int, per_feature: bool = False,
      max_log_scale: float = 3.0, kernel_initializer: Any = 'zeros', **kwargs):
    super().__init__(**kwargs)
    conditioning.check_size(condition_size)
    errors.check(max_log_scale > 0.0, 'max_log_scale', max_log_scale,
                 'a number above 0')
    self.condition_size = condition_size
    self.condition_spec = condition_spec.ConditionSpec((condition_size,))
    self.per_feature = per_feature
    self.max_log_scale = max_log_scale
    self.kernel_initializer = keras.initializers.get(kernel_initializer)

  def build(self, input_shape: tuple) -> None:
    ones = [1] * (len(input_shape) - 2)
    self._shape = tuple(input_shape[1:]) if self.per_feature else (
        *ones, input_shape[-1])
    self.kernel = self.add_weight(
        name='condition_kernel',
        shape=(self.condition_size, 2 * math.prod(self._shape)),
        initializer=self.kernel_initializer)

  def _log_scale_and_shift(self, condition, x):
    """Returns `s` and `t`, which broadcast to `x`."""
    condition = self.condition_spec.convert(condition, self.compute_dtype)
    raw, shift = (
        condition_spec.as_batch(tf.reshape(t, [-1, *self._shape]), x)
        for t in tf.split(tf.linalg.matmul(
            condition, tf.convert_to_tensor(self.kernel.value)), 2, axis=1))
    return self.max_log_scale * tf.tanh(raw / self.max_log_scale), shift

  def forward_and_log_det(
      self, x: tf.Tensor, *, condition: Any = None, **unused: Any,
  ) -> tuple[tf.Tensor, tf.Tensor]:
    base_layer.build_once(self, x.shape)
    log_scale, shift = self._log_scale_and_shift(condition, x)
    num_positions = math.prod(x.shape[1:]) // math.prod(self._shape)
    return ((x - shift) * tf.exp(-log_scale),
            -num_positions * differentiation.sum_per_example(log_scale))

  def inverse(self, y: tf.Tensor, *, condition: Any = None,
              **unused: Any) -> tf.Tensor:
    base_layer.build_once(self, y.shape)
    log_scale, shift = self._log_scale_and_shift(condition, y)
    return y * tf.exp(log_scale) + shift

  def slope_bounds(self) -> bijection.SlopeBounds:
    return bijection.SlopeBounds(
        math.exp(-self.max_log_scale), math.exp(self.max_log_scale))
