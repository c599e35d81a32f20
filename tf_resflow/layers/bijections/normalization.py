"""Normalisation by the first batch, or by the moving mean of batches."""

import math

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection
from tf_resflow.layers.bijections.bijection import PassResult
from tf_resflow.layers.bijections.bijection import PassSettings
from tf_resflow.numerics import tracing


def _num_positions(x, log_scale):
  return math.prod(x.shape[1:]) // math.prod(log_scale.shape)


@tracing.function_in_graphs
def _shift_and_scale(x, bias, log_scale):
  """Returns `y` and the log-determinants `[B]`."""
  return (x + bias) * tf.exp(log_scale), bijection.common_log_det(
      x, _num_positions(x, log_scale) * tf.reduce_sum(log_scale))


def _global_means(axes, *tensors):
  """Returns means over the global batch, float64, and whether they are valid.

  Those of an empty batch, or of one that is not finite, are not. Float64,
  because a difference of squares loses digits. Sums and a count, because
  replicas may hold parts of different sizes, or empty ones.
  """
  sums = [tf.reduce_sum(tf.cast(t, tf.float64), axes) for t in tensors]
  count = tf.cast(tf.size(tensors[0]) // tf.size(sums[0]), tf.float64)
  totals = tf.stack([*sums, tf.fill(sums[0].shape, count)])
  context = tf.distribute.get_replica_context()
  if context is not None and context.num_replicas_in_sync > 1:
    totals = context.all_reduce(tf.distribute.ReduceOp.SUM, totals)
  *sums, count = tf.unstack(totals)
  means = [s / count for s in sums]
  return means, tf.reduce_all(tf.math.is_finite(tf.stack(means)))


@base_layer.configured
class ActNorm(bijection.Bijection):
  """ActNorm: `y = (x + bias) * exp(log_scale)`, per channel (the last axis).

  `log_det = P sum(log_scale)` with `P` positions per channel (`H W` for
  images, 1 for vectors). With `per_feature` every entry of an event has a bias
  and a scale of its own, and `P = 1`.

  The first batch initialises the layer: its outputs then have mean 0 and
  variance 1 per channel, except that variances below `variance_floor` are
  replaced by it. Under a distribution strategy the statistics are those of the
  global batch. Initialisation is a state of the layer (the variable
  `initialized`), saved and loaded with it, and happens once; an empty batch or
  one that is not finite does not count.

  Args:
    variance_floor: smallest variance that initialisation divides by.
    per_feature: one bias and scale per entry of the event, not per channel.

  Example:
    >>> norm = layers.ActNorm()
    >>> x = tf.random.stateless_normal([64, 3], [0, 0])
    >>> y, log_det = norm.forward_and_log_det(5.0 + 2.0 * x)
    >>> np.allclose(tf.math.reduce_std(y, axis=0), 1.0, atol=1e-4)
    True

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.1.
  """

  # The first batch sets its weights, so it cannot be a part of g.
  is_data_dependent = True

  def __init__(self, variance_floor: float = 0.2, per_feature: bool = False,
               **kwargs):
    super().__init__(**kwargs)
    self.variance_floor = variance_floor
    self.per_feature = per_feature

  def build(self, input_shape: tuple) -> None:
    shape = input_shape[1:] if self.per_feature else input_shape[-1:]
    # Replicas assign equal values, from statistics of the global batch.
    self.bias = self.add_weight(name='bias', shape=shape, initializer='zeros')
    self.log_scale = self.add_weight(
        name='log_scale', shape=shape, initializer='zeros')
    self.initialized = self.add_weight(
        name='initialized', shape=(), dtype='int32', initializer='zeros',
        trainable=False, aggregation='only_first_replica')

  def _values(self):
    return [tf.convert_to_tensor(v.value) for v in (self.bias, self.log_scale)]

  def _maybe_initialize(self, x):
    """Returns the tensors of bias and scale, after initialisation if needed.

    A collective must not be in a branch, so a function that is traced while the
    layer is not initialised computes the statistics on every call and selects;
    functions that are traced later do not compute them.
    """
    bias, log_scale = self._values()
    with tf.init_scope():
      is_done = tf.executing_eagerly() and self.is_initialized
    if is_done:
      return bias, log_scale
    axes = [0] if self.per_feature else list(range(x.shape.rank - 1))
    # Centring first would need a second reduction over replicas.
    x = tf.cast(tf.stop_gradient(x), tf.float64)
    (mean, mean_square), is_valid = _global_means(axes, x, x * x)
    variance = tf.maximum(mean_square - mean * mean, self.variance_floor)
    done = tf.convert_to_tensor(self.initialized.value) > 0
    is_first = is_valid & ~done
    self.bias.assign(tf.where(is_first, tf.cast(-mean, bias.dtype), bias))
    self.log_scale.assign(tf.where(is_first, tf.cast(
        -0.5 * tf.math.log(variance), bias.dtype), log_scale))
    self.initialized.assign(tf.cast(done | is_valid, tf.int32))
    return self._values()  # Read again: gradients reach the variables.

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    return PassResult(*_shift_and_scale(x, *self._maybe_initialize(x)))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    bias, log_scale = self._values()
    return PassResult(
        y * tf.exp(-log_scale) - bias,
        bijection.common_log_det(y, -_num_positions(y, log_scale) *
                                 tf.reduce_sum(log_scale)))

  @property
  def is_initialized(self) -> bool:
    return bool(self.initialized.numpy() > 0)

  def bi_lipschitz_bounds(self) -> bijection.BiLipschitzBounds:
    scales = tf.exp(self.log_scale.value).numpy()
    return bijection.BiLipschitzBounds(
        float(scales.min()), float(scales.max()), bound_source='weights')


@base_layer.configured
class MovingMean(bijection.Bijection):
  """Mean-only batch normalisation: `y = x - moving_mean + bias`, per channel.

  `moving_mean` follows the means of the batches: after the update of its
  weights a training step calls `update_statistics`,

    m <- m + max(1 - decay, 1 / (1 + t)) (mean - m)

  with batch `t` from 0, so that the first one sets it. Passes read it and never
  change it, in training as in evaluation: with the mean of the batch itself
  `y_i` would depend on every `x_j` (`dy_i/dx_j = -1/B`), the log-determinants
  of the examples would not add up to a log-density, and a single example could
  be neither scored nor inverted. Hence the loss of a batch uses the mean of
  former batches, as the authors' layer does by default.

  Averages of weights leave `moving_mean` out. Under a distribution strategy
  means are those of the global batch. Channels are the last axis.

  Args:
    decay: decay of the moving mean, in [0, 1); 0.9 as in the authors' code.

  Example:
    >>> shift = layers.MovingMean()
    >>> x = 5.0 + tf.random.stateless_normal([64, 3], [0, 0])
    >>> y = shift.update_statistics(x)
    >>> np.allclose(tf.reduce_mean(y, axis=0), 0.0, atol=1e-5)
    True

  References:
    Salimans and Kingma, 2016, Weight Normalization, Section 4 (mean-only batch
    normalisation).
  """

  # Former batches change it, so it cannot be a part of g.
  is_data_dependent = True
  has_moving_statistics = True
  slopes = bijection.BiLipschitzBounds(1.0, 1.0)

  def __init__(self, decay: float = 0.9, **kwargs):
    super().__init__(**kwargs)
    errors.check(0.0 <= decay < 1.0, 'decay', decay, 'a number in [0, 1)')
    self.decay = decay

  def build(self, input_shape: tuple) -> None:
    self.bias = self.add_weight(
        name='bias', shape=input_shape[-1:], initializer='zeros')
    # Replicas assign equal values, from means of the global batch.
    self.moving_mean = self.add_weight(
        name='moving_mean', shape=input_shape[-1:], initializer='zeros',
        trainable=False, aggregation='only_first_replica')
    self.num_updates = self.add_weight(
        name='num_updates', shape=(), dtype='int32', initializer='zeros',
        trainable=False, aggregation='only_first_replica')

  def _shift(self):
    return (tf.convert_to_tensor(self.bias.value) -
            tf.convert_to_tensor(self.moving_mean.value))

  def forward_pass(self, x: tf.Tensor, settings: PassSettings) -> PassResult:
    if settings.updates_statistics:
      self._update(x)
    return PassResult(x + self._shift(), bijection.zero_log_det(x))

  def inverse_pass(self, y: tf.Tensor, settings: PassSettings) -> PassResult:
    return PassResult(y - self._shift(), bijection.zero_log_det(y))

  def _update(self, x):
    (mean,), is_valid = _global_means(list(range(x.shape.rank - 1)), x)
    mean = tf.cast(mean, self.moving_mean.dtype)
    old = tf.convert_to_tensor(self.moving_mean.value)
    t = tf.convert_to_tensor(self.num_updates.value)
    share = tf.maximum(tf.constant(1.0 - self.decay, old.dtype),
                       1.0 / tf.cast(1 + t, old.dtype))
    self.moving_mean.assign(tf.where(is_valid, old + share * (mean - old), old))
    self.num_updates.assign(t + tf.cast(is_valid, tf.int32))
