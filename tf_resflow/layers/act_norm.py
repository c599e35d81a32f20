"""Activation normalisation."""

import keras
import tensorflow as tf

from tf_resflow.layers import invertible


@keras.saving.register_keras_serializable('tf_resflow')
class ActNorm(invertible.InvertibleLayer):
  """`y = (x + bias) * exp(log_scale)`, per channel (the last axis).

  `log_det = P sum(log_scale)` with `P` positions per channel (`H W` for
  images, 1 for vectors).

  The first batch initialises the layer: its outputs then have mean 0 and
  variance 1 per channel, except that variances below `variance_floor` count
  as that. Under a distribution strategy the statistics are those of the
  global batch. Initialisation is a state of the layer (the variable
  `initialized`), saved and loaded with it, and happens once.

  Args:
    variance_floor: smallest variance that initialisation divides by.
    **kwargs: of `keras.layers.Layer`.

  References:
    Kingma and Dhariwal, 2018, Glow, Section 3.1.
  """

  def __init__(self, variance_floor=0.2, **kwargs):
    super().__init__(**kwargs)
    self.variance_floor = variance_floor

  def build(self, input_shape):
    # Replicas assign equal values, from statistics of the global batch.
    self.bias = self.add_weight(
        name='bias', shape=input_shape[-1:], initializer='zeros')
    self.log_scale = self.add_weight(
        name='log_scale', shape=input_shape[-1:], initializer='zeros')
    self.initialized = self.add_weight(
        name='initialized', shape=(), dtype='int32', initializer='zeros',
        trainable=False, aggregation='only_first_replica')

  def _data_dependent_values(self, x):
    """Returns `(bias, log_scale)` that normalise the global batch."""
    axes = list(range(x.shape.rank - 1))
    # One reduction of both moments; centring first would need two. Float64,
    # because a difference of squares loses digits.
    wide = tf.cast(tf.stop_gradient(x), tf.float64)
    moments = tf.stack(
        [tf.reduce_mean(wide, axes), tf.reduce_mean(wide * wide, axes)])
    context = tf.distribute.get_replica_context()
    if context is not None and context.num_replicas_in_sync > 1:
      moments = context.all_reduce(tf.distribute.ReduceOp.MEAN, moments)
    mean, mean_square = tf.unstack(moments)
    variance = tf.maximum(mean_square - mean * mean, self.variance_floor)
    return (tf.cast(-mean, x.dtype),
            tf.cast(-0.5 * tf.math.log(variance), x.dtype))

  def _maybe_initialize(self, x):
    """Returns `(bias, log_scale)` tensors, initialising them if need be.

    A collective must not stand in a branch, so a function that is traced
    while the layer is not initialised computes the statistics on every call
    and selects; functions traced later contain nothing of it.
    """
    bias = tf.convert_to_tensor(self.bias.value)
    log_scale = tf.convert_to_tensor(self.log_scale.value)
    if self._is_initialized_when_traced():
      return bias, log_scale
    new_bias, new_log_scale = self._data_dependent_values(x)
    done = tf.convert_to_tensor(self.initialized.value) > 0
    new_bias = tf.where(done, bias, new_bias)
    new_log_scale = tf.where(done, log_scale, new_log_scale)
    self.bias.assign(new_bias)
    self.log_scale.assign(new_log_scale)
    self.initialized.assign(tf.ones([], tf.int32))
    # Read again, so that gradients reach the variables.
    return (tf.convert_to_tensor(self.bias.value),
            tf.convert_to_tensor(self.log_scale.value))

  def _is_initialized_when_traced(self):
    with tf.init_scope():
      if not tf.executing_eagerly():
        return False
      return bool(self.initialized.numpy() > 0)

  def forward_and_log_det(self, x, seed=None):
    del seed
    if not self.built:
      self.build(tuple(x.shape))
    bias, log_scale = self._maybe_initialize(x)
    num_positions = x.shape[1:-1].num_elements() or 1
    log_det = num_positions * tf.reduce_sum(log_scale)
    return ((x + bias) * tf.exp(log_scale),
            tf.fill([tf.shape(x)[0]], log_det))

  def inverse(self, y):
    return (y * tf.exp(-tf.convert_to_tensor(self.log_scale.value)) -
            tf.convert_to_tensor(self.bias.value))

  def get_config(self):
    return super().get_config() | {'variance_floor': self.variance_floor}
