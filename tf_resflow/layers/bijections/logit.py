"""The logit transform of pixels."""

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.numerics import differentiation


@base_layer.configured
class Logit(bijection.Bijection):
  """`y = logit(alpha + (1 - 2 alpha) x)` for `x` in [0, 1].

  `log_det = sum log(1 - 2 alpha) - log s - log(1 - s)` with
  `s = alpha + (1 - 2 alpha) x`. Unlike `tfb.Invert(tfb.Sigmoid())` it is finite
  at 0 and 1.

  Args:
    alpha: in (0, 1/2); keeps the logit finite at 0 and 1.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> y, log_det = layers.Logit().forward_and_log_det(tf.zeros([5, 2]))
    >>> bool(tf.reduce_all(tf.math.is_finite(y)))
    True
    >>> logit = bijectors.Logit([2])
    >>> logit.inverse(logit.forward([[0.0, 1.0]])).numpy().tolist()
    [[0.0, 1.0]]

  References:
    Dinh et al., 2017, Real NVP, Section 4.1.
  """

  def __init__(self, alpha: float = 0.05, **kwargs):
    super().__init__(**kwargs)
    errors.check(0.0 < alpha < 0.5, 'alpha', alpha,
                 'a number strictly between 0 and 1/2')
    self.alpha = alpha
    self.scale = 1.0 - 2.0 * alpha

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    # Both logarithms from s and 1 - s directly: 1 - s loses digits near 1.
    log_s = tf.math.log(self.alpha + self.scale * x)
    log_1ms = tf.math.log(self.alpha + self.scale * (1.0 - x))
    return bijection.PassResult(
        log_s - log_1ms, self._log_det(log_s, log_1ms))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    return bijection.PassResult(
        (tf.sigmoid(y) - self.alpha) / self.scale,
        -self._log_det(tf.math.log_sigmoid(y), tf.math.log_sigmoid(-y)))

  def _log_det(self, log_s, log_1ms):
    return differentiation.sum_per_example(
        float(np.log(self.scale)) - log_s - log_1ms)

  def slope_bounds(self) -> bijection.SlopeBounds:
    """Those on [0, 1]."""
    return bijection.SlopeBounds(
        4.0 * self.scale, self.scale / (self.alpha * (1.0 - self.alpha)))
