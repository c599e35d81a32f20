"""Preprocessing of data before the first block: logit, standardisation."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.columns import column_types
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.numerics import differentiation


@base_layer.configured
class Logit(bijection.Bijection):
  """The logit transform `y = logit(s)`, `s = alpha + (1 - 2 alpha) x`.

  For `x` in [0, 1]; `log_det = sum log(1 - 2 alpha) - log s - log(1 - s)`.
  Unlike `tfb.Invert(tfb.Sigmoid())` it is finite at 0 and 1.

  Args:
    alpha: in (0, 1/2); keeps the logit finite at 0 and 1.

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

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    # Both logarithms from s and 1 - s directly: 1 - s loses digits near 1.
    log_s = tf.math.log(self.alpha + self.scale * x)
    log_1ms = tf.math.log(self.alpha + self.scale * (1.0 - x))
    return PassResult(log_s - log_1ms, self._log_det(log_s, log_1ms))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    return PassResult(
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
  """Standardisation `y = W (x - mean) / std` per channel, with constants.

  `log_det = H W sum (log W_cc - log std)`. If `W` is the inverse of the
  Cholesky factor of the correlations, the covariance of `y` is the identity.

  Args:
    mean: sequence of floats, one per channel.
    std: sequence of positive floats, one per channel.
    whitening: lower triangle of `W`, row by row, `C (C + 1) / 2` floats; by
      default `W` is the identity.
    x_dtype: dtype of inverses, such as 'float64' where float32 would cost
      digits of `x`; by default that of `y`. `x` is standardised in its own
      dtype, and `y` is that of the layer.

  Example:
    >>> layers.Standardize([0.5], [0.25])(tf.ones([1, 1])).numpy().tolist()
    [[2.0]]
    >>> whiten = layers.Standardize([0, 0], [1, 1], [2.0, 1.0, 4.0])
    >>> whiten(tf.ones([1, 2])).numpy().tolist()
    [[2.0, 5.0]]
  """

  def __init__(self, mean: Sequence[float], std: Sequence[float],
               whitening: Sequence[float] = (), x_dtype: str | None = None,
               **kwargs):
    super().__init__(**kwargs)
    self.x_dtype = x_dtype
    errors.check(
        bool(mean) and len(mean) == len(std) and all(s > 0 for s in std),
        'std', tuple(std), f'{len(mean)} positive numbers, one per number of '
        f'mean={tuple(mean)}')
    self.mean = tuple(mean)
    self.std = tuple(std)
    self.whitening = tuple(whitening)
    size = len(mean)
    self._kernel = np.eye(size)
    if whitening:
      self._kernel[np.tril_indices(size)] = whitening
      smallest = self._kernel.diagonal().min()
      errors.check(smallest > 0, 'whitening', f'{smallest:g} on the diagonal',
                   'a diagonal of positive numbers')

  def build(self, input_shape: tuple) -> None:
    errors.check(
        input_shape[-1] == len(self.mean), 'input_shape', tuple(input_shape),
        f'{len(self.mean)} channels, the length of mean and std')

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    y = (x - tf.constant(self.mean, x.dtype)) / tf.constant(self.std, x.dtype)
    y = tf.cast(self._multiplied(y, self._kernel), self.compute_dtype)
    return PassResult(y, -self._sum_log_std(y))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    y = tf.cast(y, self.x_dtype or y.dtype)
    x = self._multiplied(y, np.linalg.inv(self._kernel))
    x = x * tf.constant(self.std, y.dtype) + tf.constant(self.mean, y.dtype)
    return PassResult(x, self._sum_log_std(y))

  def _multiplied(self, x, kernel):
    return tf.tensordot(
        x, tf.constant(kernel.T, x.dtype), 1) if self.whitening else x

  def _sum_log_std(self, x):
    log_std = np.log(self.std) - np.log(self._kernel.diagonal())
    return differentiation.sum_per_example(
        tf.constant(log_std, x.dtype) + tf.zeros_like(x))

  def bi_lipschitz_bounds(self) -> bijection.BiLipschitzBounds:
    slopes = np.linalg.svd(self._kernel / np.array(self.std), compute_uv=False)
    return bijection.BiLipschitzBounds(float(slopes[-1]), float(slopes[0]))


@base_layer.configured
class ColumnMaps(bijection.Bijection):
  """A map per column, `y_d = f_d(x_d)`, that takes tables to real numbers.

  `log_det = sum_d log f_d'(x_d)`, and minus infinity for a row with a value
  outside of the support of its column, where the density is zero. Inverses are
  inside of the support, and their log-determinants finite, for every finite
  `y`.

  Args:
    types: specs of `ColumnType`, one per column, such as 'log' or 'logit:100'.

  Example:
    >>> maps = layers.ColumnMaps(['real', 'log'])
    >>> y, log_det = maps.forward_and_log_det(tf.constant([[3.0, 1.0]]))
    >>> y.numpy().tolist(), log_det.numpy().tolist()
    ([[3.0, 0.0]], [0.0])
    >>> maps.forward_and_log_det(tf.constant([[3.0, -1.0]]))[1].numpy().tolist()
    [-inf]
  """

  def __init__(self, types: Sequence[str], **kwargs):
    super().__init__(**kwargs)
    self.types = tuple(types)
    parsed = [column_types.ColumnType.get(t) for t in self.types]
    groups: dict[type, list[int]] = {}
    for i, column_type in enumerate(parsed):
      groups.setdefault(type(column_type), []).append(i)
    self._groups = [
        ([parsed[i] for i in places], places) for places in groups.values()]
    self._order = np.argsort([i for _, places in self._groups for i in places])

  def build(self, input_shape: tuple) -> None:
    errors.check(
        tuple(input_shape[1:]) == (len(self.types),), 'input_shape',
        tuple(input_shape), f'[B, {len(self.types)}], one type per column')

  def _mapped(self, x, function):
    """Applies a function to the columns of each type; restores the order."""
    dtype = x.dtype.as_numpy_dtype
    return tf.gather(tf.concat(
        [function(column_types.stacked(types, dtype),
                  tf.gather(x, places, axis=-1))
         for types, places in self._groups], axis=-1), self._order, axis=-1)

  def _log_det(self, y):
    return tf.reduce_sum(self._mapped(
        y, lambda column_type, y: column_type.log_slope(y, tf.math)), axis=-1)

  def supports(self, x: tf.Tensor) -> tf.Tensor:
    """Returns whether values are in the support of their columns, `[B, D]`."""
    return self._mapped(
        x, lambda column_type, x: tf.cast(column_type.supports(x), x.dtype)) > 0

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    is_supported = self.supports(x)
    # Finite numbers, also in gradients; NaN where `x` is.
    inside = tf.where(is_supported, x, self._mapped(
        tf.where(tf.math.is_nan(x), x, tf.zeros_like(x)),
        lambda column_type, y: column_type.inverse(y, tf.math)))
    y = self._mapped(
        inside, lambda column_type, x: column_type.forward(x, tf.math))
    log_det = self._log_det(y)
    return PassResult(y, tf.where(
        tf.reduce_all(is_supported, axis=-1), log_det,
        tf.constant(-np.inf, log_det.dtype)))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    x = self._mapped(y, lambda column_type, y: column_type.inside(y, tf.math))
    return PassResult(x, -self._log_det(y))
