"""Scales and shifts that depend on a condition alone."""

import math

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections import conditioning
from tf_resflow.numerics import differentiation


@base_layer.configured
class ConditionalAffine(conditioning.ConditionalMap):
  """`y = (x - t(c)) exp(-s(c))`, with `s = b tanh(W_s c / b)`, `t = W_t c`.

  Behind an ActNorm it makes that one conditional; as the last bijection of a
  flow it gives the base distribution a mean and a scale that depend on the
  condition, `z ~ N(t(c), diag exp(2 s(c)))`: what it returns is standard normal
  where `z` is so distributed.

  Args:
    condition_size: `K`, numbers of a condition `[B, K]`.
    per_feature: one scale and shift per entry of the event, not per channel
      (the last axis).
    max_log_scale: `b`, the bound of `|s|`, whatever the condition; 3 by
      default.
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

  default_max_log_scale = 3.0

  def build(self, input_shape: tuple) -> None:
    ones = [1] * (len(input_shape) - 2)
    self._shape = tuple(input_shape[1:]) if self.per_feature else (
        *ones, input_shape[-1])
    self.add_matrix(2 * math.prod(self._shape))

  def _log_scale_and_shift(self, condition, x):
    """Returns `s` and `t`, which broadcast to `x`."""
    raw, shift = (
        condition_spec.as_batch(tf.reshape(t, [-1, *self._shape]), x)
        for t in tf.split(self.project(condition), 2, axis=1))
    return self.bounded(raw), shift

  def _log_det(self, log_scale, x):
    """Returns that of the inverse, `P sum(s)` of `P` positions."""
    num_positions = math.prod(x.shape[1:]) // math.prod(self._shape)
    return num_positions * differentiation.sum_per_example(log_scale)

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    log_scale, shift = self._log_scale_and_shift(settings.condition, x)
    return bijection.PassResult(
        (x - shift) * tf.exp(-log_scale), -self._log_det(log_scale, x))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    log_scale, shift = self._log_scale_and_shift(settings.condition, y)
    return bijection.PassResult(
        y * tf.exp(log_scale) + shift, self._log_det(log_scale, y))

  def slope_bounds(self) -> bijection.SlopeBounds:
    return bijection.SlopeBounds(
        math.exp(-self.max_log_scale), math.exp(self.max_log_scale))
