"""A linear map that a condition chooses, invertible for every one."""

import math

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers import condition_spec
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections import conditioning
from tf_resflow.numerics import differentiation


@base_layer.configured
class ConditionalLinear(conditioning.ConditionalMap):
  """`y = L(c) U(c) x` for every row of numbers of an event.

  In front of an `InvertibleLinear` or `InvertibleConv1x1` it makes that one
  conditional. With raw numbers `r = W c`, one for each entry of a matrix,

    L = I + tril(tanh r) / D,   U = (I + triu(tanh r) / D) diag(exp s),

  `s_i = b tanh(r_ii / b)`, and `log_det = P sum_i s_i` with `P` rows of `D`
  numbers. For a strictly triangular `N` with entries below `1 / D` the row and
  column sums of `|I + N|` are below 2 and those of `|(I + N)^-1|` at most
  `(1 + 1 / D)^(D - 1) < e`. So no condition, however far, stretches by more
  than `4 exp(b)` or less than `exp(-2 - b)`, in any l_p.

  Args:
    condition_size: `K`, numbers of a condition `[B, K]`.
    per_feature: whether a row is the whole event; else its channels, the last
      axis.
    max_log_scale: `b`, the bound of `|log U_ii|`; 1 by default.
    kernel_initializer: Keras initializer of `W`; with zeros, the default, it
      begins as the identity.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> linear = layers.ConditionalLinear(4, kernel_initializer='ones')
    >>> x, c = tf.constant([[1.0, 2.0]]), tf.ones([1, 4])
    >>> y, _ = linear.forward_and_log_det(x, condition=c)
    >>> np.allclose(linear.inverse(y, condition=c), x)
    True
  """

  default_max_log_scale = 1.0

  def build(self, input_shape: tuple) -> None:
    event_shape = tuple(input_shape[1:])
    self._size = math.prod(event_shape) if self.per_feature else event_shape[-1]
    self._num_rows = math.prod(event_shape) // self._size
    self.add_matrix(self._size**2)

  def _factors(self, condition, x):
    """Returns `L` and `U`, `[B, D, D]`, and `log diag U`, `[B, D]`."""
    raw = condition_spec.as_batch(tf.reshape(
        self.project(condition), [-1, self._size, self._size]), x)
    entries = tf.tanh(raw) / self._size
    log_scale = self.bounded(tf.linalg.diag_part(raw))
    lower = tf.linalg.set_diag(
        tf.linalg.band_part(entries, -1, 0), tf.ones_like(log_scale))
    upper = tf.linalg.set_diag(
        tf.linalg.band_part(entries, 0, -1), tf.ones_like(log_scale)
    ) * tf.exp(log_scale)[:, tf.newaxis]
    return lower, upper, log_scale

  def _columns(self, x):
    """Returns the rows of events as columns, `[B, D, P]`."""
    return tf.linalg.matrix_transpose(
        tf.reshape(x, [-1, self._num_rows, self._size]))

  def _events(self, columns, like):
    return tf.ensure_shape(tf.reshape(
        tf.linalg.matrix_transpose(columns), tf.shape(like)), like.shape)

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    lower, upper, log_scale = self._factors(settings.condition, x)
    y = tf.linalg.matmul(lower, tf.linalg.matmul(upper, self._columns(x)))
    return bijection.PassResult(
        self._events(y, x),
        self._num_rows * differentiation.sum_per_example(log_scale))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    lower, upper, log_scale = self._factors(settings.condition, y)
    x = tf.linalg.triangular_solve(lower, self._columns(y))
    x = tf.linalg.triangular_solve(upper, x, lower=False)
    return bijection.PassResult(
        self._events(x, y),
        -self._num_rows * differentiation.sum_per_example(log_scale))

  def slope_bounds(self) -> bijection.SlopeBounds:
    return bijection.SlopeBounds(
        math.exp(-2.0 - self.max_log_scale), 4.0 * math.exp(self.max_log_scale))
