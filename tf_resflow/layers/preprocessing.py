"""Elementwise transforms of pixels in [0, 1], with their log-determinants."""

import keras
import numpy as np
import tensorflow as tf

from tf_resflow.layers import invertible
from tf_resflow.numerics import differentiation


@keras.saving.register_keras_serializable('tf_resflow')
class Logit(invertible.InvertibleLayer):
  """`y = logit(alpha + (1 - 2 alpha) x)` for `x` in [0, 1].

  `log_det = sum log(1 - 2 alpha) - log s - log(1 - s)` with
  `s = alpha + (1 - 2 alpha) x`.

  Args:
    alpha: in (0, 1/2); keeps the logit finite at 0 and 1.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> y, log_det = layers.Logit().forward_and_log_det(tf.zeros([5, 2]))
    >>> bool(tf.reduce_all(tf.math.is_finite(y)))
    True

  References:
    Dinh et al., 2017, Real NVP, Section 4.1.
  """

  def __init__(self, alpha=0.05, **kwargs):
    super().__init__(**kwargs)
    if not 0.0 < alpha < 0.5:
      raise ValueError(
          f'alpha is {alpha}; it must lie strictly between 0 and 1/2.')
    self.alpha = alpha

  def forward_and_log_det(self, x, seed=None):
    del seed
    scale = 1.0 - 2.0 * self.alpha
    # Both logarithms from s and 1 - s directly: 1 - s loses digits near 1.
    log_s = tf.math.log(self.alpha + scale * x)
    log_1ms = tf.math.log(self.alpha + scale * (1.0 - x))
    log_det = differentiation.sum_per_example(
        float(np.log(scale)) - log_s - log_1ms)
    return log_s - log_1ms, log_det

  def inverse(self, y):
    scale = 1.0 - 2.0 * self.alpha
    return (tf.sigmoid(y) - self.alpha) / scale

  def get_config(self):
    return super().get_config() | {'alpha': self.alpha}


@keras.saving.register_keras_serializable('tf_resflow')
class Standardize(invertible.InvertibleLayer):
  """`y = (x - mean) / std` per channel; `log_det = -H W sum log std`.

  Args:
    mean: sequence of floats, one per channel.
    std: sequence of positive floats, one per channel.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> layers.Standardize([0.5], [0.25])(tf.ones([1, 1])).numpy().tolist()
    [[2.0]]
  """

  def __init__(self, mean, std, **kwargs):
    super().__init__(**kwargs)
    if not mean or len(mean) != len(std) or any(s <= 0 for s in std):
      raise ValueError(
          f'mean {mean} and std {std} must have one number per channel each, '
          'std positive.')
    self.mean = tuple(mean)
    self.std = tuple(std)

  def build(self, input_shape):
    if input_shape[-1] != len(self.mean):
      raise ValueError(
          f'Standardize got {input_shape[-1]} channels, but mean and std have '
          f'{len(self.mean)} numbers.')

  def forward_and_log_det(self, x, seed=None):
    del seed
    y = (x - tf.constant(self.mean, x.dtype)) / tf.constant(self.std, x.dtype)
    log_std = tf.constant(np.log(self.std), x.dtype)
    return y, -differentiation.sum_per_example(log_std + tf.zeros_like(x))

  def inverse(self, y):
    return y * tf.constant(self.std, y.dtype) + tf.constant(self.mean, y.dtype)

  def get_config(self):
    return super().get_config() | {'mean': self.mean, 'std': self.std}
