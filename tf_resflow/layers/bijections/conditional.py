"""Bijections that depend on a condition."""

from collections.abc import Sequence
import math

import keras
import numpy as np
import tensorflow as tf

from tf_resflow import errors
from tf_resflow.columns import coordinates
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection as bijection_lib
from tf_resflow.layers.bijections import composite
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.layers.conditions import condition_network as networks
from tf_resflow.layers.conditions import conditioning
from tf_resflow.numerics import differentiation


@base_layer.configured
class Conditional(composite.CompositeBijection):
  """`f(x, h(c))`: a bijection whose parts share one condition network `h`.

  `h` is evaluated once per pass, however many blocks the bijection has and
  however often a series or a solver evaluates them; gradients reach its weights
  and, if they are numbers, the conditions.

  Args:
    bijection: a bijection that takes conditions `[B, K]`.
    condition_network: `h`, a `layers.ConditionNetwork` such as
      `layers.LabelEmbedding`; wrap other Keras layers in `layers.KerasNetwork`.

  Raises:
    InvalidValueError: if the bijection takes no such condition.

  Example:
    >>> g = keras.Sequential([
    ...     layers.SpectralDense(32), layers.ConditionShift(8),
    ...     layers.LipSwish(), layers.SpectralDense(2)])
    >>> flow = layers.Conditional(
    ...     layers.ResidualBlock(g), layers.LabelEmbedding(10, 8))
    >>> y, _ = flow.forward_and_log_det(tf.ones([2, 2]), condition=[3, 1])
    >>> np.allclose(flow.inverse(y, condition=[3, 1]), 1.0, atol=1e-4)
    True
  """

  def __init__(
      self, bijection: bijection_lib.Bijection,
      condition_network: networks.ConditionNetwork, **kwargs):
    kwargs.setdefault('dtype', bijection.compute_dtype)
    super().__init__(**kwargs)
    errors.check(
        isinstance(condition_network, networks.ConditionNetwork),
        'condition_network', condition_network, 'a layers.ConditionNetwork',
        'Wrap a Keras layer in layers.KerasNetwork.')
    wanted = bijection.condition_spec
    if wanted is None:
      raise errors.InvalidValueError(
          'bijection', bijection.name, 'one that takes a condition',
          'Put a layers.ConditionShift into its network, for example.')
    size = condition_network.size
    errors.check(
        wanted.shape == (size,) and not wanted.num_labels, 'condition_network',
        f'{condition_network.name}, of {size} outputs', f'{wanted.expected}, '
        f'which {bijection.name} takes')
    self.bijection = bijection
    self.condition_network = condition_network

  @property
  def parts(self) -> list[bijection_lib.Bijection]:
    return [self.bijection]

  @property
  def condition_spec(self) -> conditioning.ConditionSpec:
    return self.condition_network.condition_spec

  def with_parts(self, parts: Sequence[bijection_lib.Bijection]
                 ) -> bijection_lib.Bijection:
    return Conditional(
        parts[0], base_layer.frozen_copy(self.condition_network),
        name=self.name, dtype=self.dtype_policy)

  def build(self, input_shape: tuple) -> None:
    base_layer.build_once(
        self.condition_network, (None, *self.condition_spec.shape))
    base_layer.build_once(self.bijection, input_shape)

  def _with_settings(self, settings, x):
    condition = self.condition_spec.convert(
        settings.condition, self.compute_dtype)
    base_layer.check_batch(condition, x)
    # `h(c)`, `[B, K]` or `[1, K]`, in place of `c`.
    return [(self.bijection, settings._replace(
        condition=self.condition_network(condition)))]


class ConditionalMap(conditioning.ConditionMatrix, bijection_lib.Bijection):
  """A linear or affine map that depends on a condition, with bounded scales.

  It acts on the whole event if `per_feature`; else on its channels, the last
  axis, in the same way at all positions. Subclasses describe the arguments, and
  set the default of `max_log_scale`.
  """

  default_max_log_scale: float

  def __init__(
      self, condition_size: int, per_feature: bool = False,
      max_log_scale: float | None = None,
      kernel_initializer: str | keras.Initializer = 'zeros',
      **kwargs):
    super().__init__(condition_size, kernel_initializer, **kwargs)
    if max_log_scale is None:
      max_log_scale = self.default_max_log_scale
    errors.check(max_log_scale > 0.0, 'max_log_scale', max_log_scale,
                 'a number > 0')
    self.per_feature = per_feature
    self.max_log_scale = max_log_scale

  def bounded(self, raw: tf.Tensor) -> tf.Tensor:
    """Returns log-scales `b tanh(r / b)`."""
    return self.max_log_scale * tf.tanh(raw / self.max_log_scale)


@base_layer.configured
class ConditionalAffine(ConditionalMap):
  """The affine map `y = (x - t(c)) exp(-s(c))`, chosen by a condition `c`.

  With `s = b tanh(W_s c / b)` and `t = W_t c`.

  After an ActNorm it makes that one conditional; as the last bijection of a
  flow it gives the base distribution a mean and a scale that depend on the
  condition, `z ~ N(t(c), diag exp(2 s(c)))`, since it maps such a `z` to a
  standard normal.

  Args:
    condition_size: `K`, size of a condition `[B, K]`.
    per_feature: one scale and shift per entry of the event, not per channel
      (the last axis).
    max_log_scale: `b`, the bound of `|s|`, whatever the condition; 3 by
      default.
    kernel_initializer: Keras initializer of both matrices; with zeros, the
      default, it is initially the identity.

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

  def fit_shift(self, x: tf.Tensor, condition: tf.Tensor) -> None:
    """Makes `t` the linear regression of events on conditions, and `s` 0.

    Its constant is left out: means of what is left do not depend on them.
    """
    slopes = coordinates.slopes(
        x.numpy().reshape([len(x), -1]), condition.numpy())
    self.kernel.assign(np.concatenate([0.0 * slopes, slopes], axis=1))

  def _log_scale_and_shift(self, condition, x):
    """Returns `s` and `t`, which broadcast to `x`."""
    raw, shift = (
        base_layer.as_batch(tf.reshape(t, [-1, *self._shape]), x)
        for t in tf.split(self.project(condition), 2, axis=1))
    return self.bounded(raw), shift

  def _log_det(self, log_scale, x):
    """Returns the log-determinant of the inverse, `P sum(s)`."""
    num_positions = math.prod(x.shape[1:]) // math.prod(self._shape)
    return num_positions * differentiation.sum_per_example(log_scale)

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    log_scale, shift = self._log_scale_and_shift(settings.condition, x)
    return PassResult(
        (x - shift) * tf.exp(-log_scale), -self._log_det(log_scale, x))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    log_scale, shift = self._log_scale_and_shift(settings.condition, y)
    return PassResult(
        y * tf.exp(log_scale) + shift, self._log_det(log_scale, y))

  def bi_lipschitz_bounds(self) -> bijection_lib.BiLipschitzBounds:
    return bijection_lib.BiLipschitzBounds(
        math.exp(-self.max_log_scale), math.exp(self.max_log_scale))


@base_layer.configured
class ConditionalLinear(ConditionalMap):
  """The linear map `y = L(c) U(c) x` of rows `x` of events, for a condition.

  Before an `InvertibleLinear` or `InvertibleConv1x1` it makes that one
  conditional. With raw numbers `r = W c`, one for each entry of a matrix,

    L = I + tril(tanh r) / D,   U = (I + triu(tanh r) / D) diag(exp s),

  `s_i = b tanh(r_ii / b)`, and `log_det = P sum_i s_i` with `P` rows of `D`
  numbers. For a strictly triangular `N` with entries below `1 / D` the row and
  column sums of `|I + N|` are below 2 and those of `|(I + N)^-1|` at most
  `(1 + 1 / D)^(D - 1) < e`. So no condition, however far, stretches by more
  than `4 exp(b)` or less than `exp(-2 - b)`, in any l_p.

  Args:
    condition_size: see `ConditionalAffine`.
    per_feature: whether a row is the whole event; else its channels, the last
      axis.
    max_log_scale: `b`, the bound of `|log U_ii|`; 1 by default.
    kernel_initializer: of `W`; by zeros, the default, it begins as identity.

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
    raw = base_layer.as_batch(tf.reshape(
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

  def _result(self, columns, log_scale, like):
    """Returns columns as events of the shape of `like`, and the log-det."""
    events = tf.ensure_shape(tf.reshape(
        tf.linalg.matrix_transpose(columns), tf.shape(like)), like.shape)
    return PassResult(
        events, self._num_rows * differentiation.sum_per_example(log_scale))

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    lower, upper, log_scale = self._factors(settings.condition, x)
    y = tf.linalg.matmul(lower, tf.linalg.matmul(upper, self._columns(x)))
    return self._result(y, log_scale, x)

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    lower, upper, log_scale = self._factors(settings.condition, y)
    x = tf.linalg.triangular_solve(lower, self._columns(y))
    x = tf.linalg.triangular_solve(upper, x, lower=False)
    return self._result(x, -log_scale, y)

  def bi_lipschitz_bounds(self) -> bijection_lib.BiLipschitzBounds:
    return bijection_lib.BiLipschitzBounds(
        math.exp(-2.0 - self.max_log_scale), 4.0 * math.exp(self.max_log_scale))
