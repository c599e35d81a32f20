"""Estimators of log-determinants, as models take them."""

import tensorflow as tf

from tf_resflow import numerics


def as_estimator(
    estimator: numerics.Estimator | str | None) -> numerics.Estimator | None:
  """Returns an estimator, given as one or as its spec; None for none."""
  return None if estimator is None else numerics.Estimator.get(estimator)


def weighted(log_det: tf.Tensor, weight: tf.Tensor | None) -> tf.Tensor:
  """Returns a log-determinant; its gradients are multiplied by a weight."""
  if weight is None:
    return log_det
  value = tf.stop_gradient(log_det)
  return value + tf.cast(weight, value.dtype) * (log_det - value)
