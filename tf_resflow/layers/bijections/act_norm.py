"""Activation normalisation."""

import math

import tensorflow as tf

from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.numerics import tracing


def _num_positions(x, log_scale):
  return math.prod(x.shape[1:]) // math.prod(log_scale.shape)


@tracing.function_in_graphs
def _shift_and_scale(x, bias, log_scale):
  """Returns `y` and the log-determinants `[B]`."""
  return (x + bias) * tf.exp(log_scale), bijection.common_log_det(
      x, _num_positions(x, log_scale) * tf.reduce_sum(log_scale))


@base_layer.configured
class ActNorm(bijection.Bijection):
  """`y = (x + bias) * exp(log_scale)`, per channel (the last axis).

  `log_det = P sum(log_scale)` with `P` positions per channel (`H W` for
  images, 1 for vectors). With `per_feature` every entry of an event has a bias
  and a scale of its own, and `P = 1`.

  The first batch initialises the layer: its outputs then have mean 0 and
  variance 1 per channel, except that variances below `variance_floor` count
  as that. Under a distribution strategy the statistics are those of the
  global batch. Initialisation is a state of the layer (the variable
  `initialized`), saved and loaded with it, and happens once; an empty batch or
  one that is not finite does not count.

  Args:
    variance_floor: smallest variance that initialisation divides by.
    per_feature: one bias and scale per entry of the event, not per channel.
    **kwargs: of `keras.layers.Layer`.

  Example:
    >>> norm = layers.ActNorm()
    >>> x = tf.random.stateless_normal([64, 3], [0, 0])
    >>> y, log_det = norm.forward_and_log_det(5.0 + 2.0 * x)
    >>> np.allclose(tf.math.reduce_std(y, axis=0), 1.0, atol=1e-4)
    True
    >>> np.allclose(bijectors.ActNorm([3]).forward(5.0 + 2.0 * x), y)
    True

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.1.
  """

  # Its first batch sets its weights, so it cannot be a part of some g.
  is_data_dependent = True

  def __init__(self, variance_floor: float = 0.2, per_feature: bool = False,
               **kwargs):
    super().__init__(**kwargs)
    self.variance_floor = variance_floor
    self.per_feature = per_feature

  def build(self, input_shape: tuple) -> None:
    shape = input_shape[1:] if self.per_feature else input_shape[-1:]
    # Replicas assign equal values, from statistics of the global batch.
    self.bias = self.add_weight(
        name='bias', shape=shape, initializer='zeros')
    self.log_scale = self.add_weight(
        name='log_scale', shape=shape, initializer='zeros')
    self.initialized = self.add_weight(
        name='initialized', shape=(), dtype='int32', initializer='zeros',
        trainable=False, aggregation='only_first_replica')

  def _data_dependent_values(self, x):
    """Returns `(bias, log_scale, is_valid)` of the global batch."""
    axes = [0] if self.per_feature else list(range(x.shape.rank - 1))
    # One reduction of all sums; centring first would need two. Float64,
    # because a difference of squares loses digits. Sums and a count, because
    # replicas may hold parts of different sizes, or nothing.
    wide = tf.cast(tf.stop_gradient(x), tf.float64)
    shape = self.bias.shape
    count = tf.cast(tf.size(x) // math.prod(shape), tf.float64)
    sums = base_layer.sum_over_replicas(tf.stack([
        tf.reduce_sum(wide, axes), tf.reduce_sum(wide * wide, axes),
        tf.fill(shape, count)]))
    mean, mean_square = tf.unstack(sums[:2] / sums[2])
    variance = tf.maximum(mean_square - mean * mean, self.variance_floor)
    # An empty batch, or one that is not finite, must not count as the first.
    is_valid = tf.reduce_all((sums[2] > 0.0) & tf.math.is_finite(sums))
    return (tf.cast(-mean, x.dtype),
            tf.cast(-0.5 * tf.math.log(variance), x.dtype), is_valid)

  def _maybe_initialize(self, x):
    """Returns `(bias, log_scale)` tensors, initialising them if need be.

    A collective must not stand in a branch, so a function that is traced
    while the layer is not initialised computes the statistics on every call
    and selects; functions traced later contain nothing of it.
    """
    bias = tf.convert_to_tensor(self.bias.value)
    log_scale = tf.convert_to_tensor(self.log_scale.value)
    with tf.init_scope():
      is_done = tf.executing_eagerly() and self.is_initialized
    if is_done:
      return bias, log_scale
    new_bias, new_log_scale, is_valid = self._data_dependent_values(x)
    done = tf.convert_to_tensor(self.initialized.value) > 0
    is_first = is_valid & ~done
    self.bias.assign(tf.where(is_first, new_bias, bias))
    self.log_scale.assign(tf.where(is_first, new_log_scale, log_scale))
    self.initialized.assign(tf.cast(done | is_valid, tf.int32))
    # Read again, so that gradients reach the variables.
    return (tf.convert_to_tensor(self.bias.value),
            tf.convert_to_tensor(self.log_scale.value))

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    return bijection.PassResult(
        *_shift_and_scale(x, *self._maybe_initialize(x)))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    bias, log_scale = (
        tf.convert_to_tensor(v.value) for v in (self.bias, self.log_scale))
    return bijection.PassResult(
        y * tf.exp(-log_scale) - bias,
        bijection.common_log_det(y, -_num_positions(y, log_scale) *
                                 tf.reduce_sum(log_scale)))

  @property
  def is_initialized(self) -> bool:
    return bool(self.initialized.numpy() > 0)

  def slope_bounds(self) -> bijection.SlopeBounds:
    scales = tf.exp(self.log_scale.value).numpy()
    return bijection.SlopeBounds(
        float(scales.min()), float(scales.max()), known_by='weights')
