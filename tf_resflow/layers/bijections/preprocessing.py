"""Preprocessing of data before the first block: logit, standardisation."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.numerics import differentiation


@base_layer.configured
class Logit(bijection.Bijection):
  """The logit transform `y = logit(alpha + (1 - 2 alpha) x)` of `x` in [0, 1].

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
    return bijection.PassResult(log_s - log_1ms, self._log_det(log_s, log_1ms))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    return bijection.PassResult(
        (tf.sigmoid(y) - self.alpha) / self.scale,
        -self._log_det(tf.math.log_sigmoid(y), tf.math.log_sigmoid(-y)))

  def _log_det(self, log_s, log_1ms):
    return differentiation.sum_per_example(
        float(np.log(self.scale)) - log_s - log_1ms)

  def bi_lipschitz_bounds(self) -> bijection.BiLipschitzBounds:
    """Returns the bounds on [0, 1]."""
    return bijection.BiLipschitzBounds(
        4.0 * self.scale, self.scale / (self.alpha * (1.0 - self.alpha)))


@base_layer.configured
class Standardize(bijection.Bijection):
  """Standardisation `y = (x - mean) / std` per channel, with constants.

  `log_det = -H W sum log std`.

  Args:
    mean: sequence of floats, one per channel.
    std: sequence of positive floats, one per channel.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.Standardize([0.5], [0.25])(tf.ones([1, 1])).numpy().tolist()
    [[2.0]]
  """

  def __init__(self, mean: Sequence[float], std: Sequence[float], **kwargs):
    super().__init__(**kwargs)
    errors.check(
        bool(mean) and len(mean) == len(std) and all(s > 0 for s in std),
        'std', tuple(std), f'{len(mean)} positive numbers, one per number of '
        f'mean={tuple(mean)}')
    self.mean = tuple(mean)
    self.std = tuple(std)

  def build(self, input_shape: tuple) -> None:
    errors.check(
        input_shape[-1] == len(self.mean), 'input_shape', tuple(input_shape),
        f'{len(self.mean)} channels, the length of mean and std')

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    y = (x - tf.constant(self.mean, x.dtype)) / tf.constant(self.std, x.dtype)
    return bijection.PassResult(y, -self._sum_log_std(x))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    x = y * tf.constant(self.std, y.dtype) + tf.constant(self.mean, y.dtype)
    return bijection.PassResult(x, self._sum_log_std(y))

  def _sum_log_std(self, x):
    return differentiation.sum_per_example(
        tf.constant(np.log(self.std), x.dtype) + tf.zeros_like(x))

  def bi_lipschitz_bounds(self) -> bijection.BiLipschitzBounds:
    return bijection.BiLipschitzBounds(1.0 / max(self.std), 1.0 / min(self.std))
