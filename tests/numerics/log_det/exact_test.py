"""Tests of the exact Jacobian's log-determinant.

tests/conformance/estimators_test compares it with the full Jacobian.
"""

import pytest
import tensorflow as tf

from tf_resflow import numerics


def test_batches_are_as_large_as_a_gigabyte_of_jacobians():
  estimator = numerics.Exact()
  assert estimator.max_batch_size(100, tf.float64) == 12500
  assert estimator.max_batch_size(20000, tf.float32) == 1
  with pytest.raises(ValueError, match=(
      'estimator=exact: expected another one. The Jacobian of 40000 dimensions '
      'takes 6 GB per example.')):
    estimator.max_batch_size(40000, tf.float32)
