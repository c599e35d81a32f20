"""Tests of the exact Jacobian's log-determinant.

tests/conformance/estimators_test compares it with the full Jacobian.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import numerics


def test_batches_are_as_large_as_a_gigabyte_of_jacobians():
  estimator = numerics.Exact()
  assert estimator.max_batch_size(100, tf.float64) == 12500
  assert estimator.max_batch_size(20000, tf.float32) == 1
  with pytest.raises(ValueError, match=(
      'estimator=exact cannot be used with 40000 dimensions. The Jacobian '
      'takes 6 GB per example; ')):
    estimator.max_batch_size(40000, tf.float32)


def test_xla_compiles_what_another_graph_has_computed():
  """Each has its own function, since XLA lacks the determinant."""
  g_fn, weights, x = testing.make_block('dense')
  g = numerics.ResidualFunction(g_fn)

  def log_det(x):
    return numerics.forward_and_log_det(g, weights, x, numerics.Exact())[1]

  values = [tf.function(log_det, autograph=False, jit_compile=jit_compile)(x)
            for jit_compile in (False, True)]
  np.testing.assert_allclose(*values, rtol=1e-12)
