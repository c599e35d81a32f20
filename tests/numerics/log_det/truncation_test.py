"""Tests of the fixed truncation, and of passes without a log-determinant.

That the first has the gradient of its value is the matter of
tests/conformance/estimators_test.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import numerics


def test_the_number_of_terms_is_not_a_constant_of_the_graph():
  """TensorFlow would compile the traced function anew for every such call."""
  estimator = numerics.FixedTruncation(3)
  graph = tf.function(
      lambda seed: estimator.draw(tf.zeros([2, 4]), seed).stop
  ).get_concrete_function(tf.TensorSpec([2], tf.int32))
  assert graph.outputs[0].op.inputs[0].op.type != 'Const'
  for seed in ([0, 0], [2**31 - 1, 3], [7, 2**31 - 1]):
    assert graph(tf.constant(seed)) == 3


def test_impossible_settings_are_refused():
  with pytest.raises(ValueError, match='num_terms=0: expected a number >= 1'):
    numerics.FixedTruncation(0)


@pytest.mark.parametrize('kind, max_examples', [('dense', None), ('conv', 2)])
def test_skipped_value_and_gradient_are_those_of_the_block(kind, max_examples):
  g_fn, weights, x = testing.make_block(kind)
  g = numerics.ResidualFunction(g_fn, max_examples=lambda: max_examples)
  cotangent = tf.constant(np.random.default_rng(7).normal(size=x.shape))

  def skipped(weights, x):
    return numerics.forward_and_log_det(g, weights, x, numerics.NoLogDet())[0]

  def plain(weights, x):
    return x + g_fn(weights, x)

  for fn in (skipped, tf.function(skipped)):
    np.testing.assert_allclose(fn(weights, x), plain(weights, x), atol=1e-14)
    assert testing.relative_error(
        testing.gradients(fn, weights, x, cotangent),
        testing.gradients(plain, weights, x, cotangent)) < 1e-12


def test_a_skipped_log_determinant_is_nan_and_typed_as_the_input():
  assert not numerics.NoLogDet.is_random
  g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
  for dtype in (tf.float32, tf.float64):
    log_det = numerics.forward_and_log_det(
        g, [], tf.ones([5, 2], dtype), numerics.NoLogDet())[1]
    assert (log_det.shape, log_det.dtype) == ([5], dtype)
    assert np.all(np.isnan(log_det))
