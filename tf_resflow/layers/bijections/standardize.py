"""Standardisation by given means and deviations."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.numerics import differentiation


@base_layer.configured
class Standardize(bijection.Bijection):
  """`y = (x - mean) / std` per channel; `log_det = -H W sum log std`.

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
        f'{len(self.mean)} channels, as mean and std have numbers')

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

  def slope_bounds(self) -> bijection.SlopeBounds:
    return bijection.SlopeBounds(1.0 / max(self.std), 1.0 / min(self.std))
