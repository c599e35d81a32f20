"""Mean-only normalisation by moving statistics."""

import tensorflow as tf

from tf_resflow import errors
from tf_resflow.layers import base_layer
from tf_resflow.layers.bijections import bijection


@base_layer.configured
class MovingMean(bijection.Bijection):
  """`y = x - moving_mean + bias`, per channel (the last axis), volume 1.

  `moving_mean` follows the means of the batches: after the update of its
  weights a training step hands its batch to `update_statistics`,

    m <- m + max(1 - decay, 1 / (1 + t)) (mean - m)

  for the `t`-th one from 0, so that the first sets it. Passes read it and never
  change it, in training as in evaluation: the mean of the batch itself would
  make `y_i` depend on every `x_j` (`dy_i/dx_j = -1/B`). The log-determinants of
  the examples would add up to no log-density, `log p(x_i)` would change with
  the other examples, and a single one could be neither scored nor inverted.
  Hence the loss of a batch takes the mean of former batches, as that of the
  authors' layer does at its default.

  `moving_mean` is no trainable variable: averages of weights leave it alone,
  which is an average already. Under a distribution strategy means are those of
  the global batch.

  Args:
    decay: of the moving mean, in [0, 1); 0.9 as the authors'.
    **kwargs: of `keras.layers.Layer`.

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

  # What it has seen changes it, so it cannot be a part of some g.
  is_data_dependent = True
  has_moving_statistics = True
  slopes = bijection.SlopeBounds(1.0, 1.0)

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

  def forward_pass(self, x: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    if settings.updates_statistics:
      self._update(x)
    return bijection.PassResult(
        x + self._shift(), bijection.zero_log_det(x))

  def inverse_pass(self, y: tf.Tensor, settings: bijection.PassSettings
                   ) -> bijection.PassResult:
    return bijection.PassResult(
        y - self._shift(), bijection.zero_log_det(y))

  def _update(self, x):
    # Sums and a count, because replicas may hold parts of different sizes.
    sums = tf.reduce_sum(
        tf.cast(x, tf.float64), list(range(x.shape.rank - 1)))
    count = tf.cast(tf.size(x) // x.shape[-1], tf.float64)
    total = base_layer.sum_over_replicas(tf.concat([sums, [count]], 0))
    mean = tf.cast(total[:-1] / total[-1], self.moving_mean.dtype)
    # An empty batch, or one that is not finite, has no mean.
    is_valid = tf.reduce_all(tf.math.is_finite(mean))
    old = tf.convert_to_tensor(self.moving_mean.value)
    t = tf.convert_to_tensor(self.num_updates.value)
    share = tf.maximum(
        tf.constant(1.0 - self.decay, old.dtype),
        1.0 / tf.cast(1 + t, old.dtype))
    self.moving_mean.assign(
        tf.where(is_valid, old + share * (mean - old), old))
    self.num_updates.assign(t + tf.cast(is_valid, tf.int32))
