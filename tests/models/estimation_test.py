"""Estimators as models take them."""

import numpy as np
import tensorflow as tf

from tf_resflow import numerics
from tf_resflow.models import estimation


def test_specs_are_read():
  exact = numerics.Exact()
  assert estimation.as_estimator('exact') == exact
  assert estimation.as_estimator(exact) is exact
  assert estimation.as_estimator(None) is None


def test_a_weight_changes_the_gradient_alone():
  x = tf.constant([1.0, 2.0])
  with tf.GradientTape(persistent=True) as tape:
    tape.watch(x)
    log_det = x**2
    weighted = estimation.weighted(log_det, tf.constant(0.25))
  np.testing.assert_array_equal(weighted, log_det)
  np.testing.assert_allclose(tape.gradient(weighted, x), 0.5 * x)
  assert estimation.weighted(log_det, None) is log_det
