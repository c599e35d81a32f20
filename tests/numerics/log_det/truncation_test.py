"""Tests of the fixed truncation, against traces of powers of the Jacobian.

And of passes without a log-determinant.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tests.numerics import averages
from tests.numerics import cases
from tf_resflow import numerics
from tf_resflow.configuration import registries


@pytest.mark.parametrize('kind, memory, num_terms, series', [
    ('dense', 'recompute', 1, 'residual'), ('conv', 'naive', 2, 'odd')])
def test_it_has_the_gradient_of_its_value(kind, memory, num_terms, series):
  series = cases.SERIES[series]
  block = testing.make_block(kind)
  x = block[2]
  cotangents = averages.cotangents(x, cases.MEMORY_MODES[memory].per_example)
  draw = numerics.Draw(tf.constant(num_terms), averages.all_probes(x))
  value, gradients = averages.expected(
      [(draw, 1.0)], numerics.FixedTruncation(num_terms), block, cotangents,
      copies=x.shape[1:].num_elements(), series=series.series, memory=memory)
  expected_value, expected = averages.oracle(
      series.truncated(num_terms), block, cotangents)
  np.testing.assert_allclose(value, expected_value, atol=1e-12)
  assert testing.relative_error(gradients, expected) < 1e-12
  # One more term in the gradient vector is the gradient of another value.
  _, longer = averages.oracle(
      series.truncated(num_terms + 1), block, cotangents)
  assert testing.relative_error(longer, expected) > 1e-10


def test_weights():
  estimator = numerics.FixedTruncation(3)
  draw = estimator.draw(tf.zeros([2, 4], tf.float64), 5)
  assert draw.stop == 3
  schedule = estimator.schedule(draw)
  weights = [schedule.weights(tf.constant(k), ()) for k in (1, 2, 3)]
  np.testing.assert_array_equal(weights, [[1, 1], [1, 1], [1, 0]])
  assert schedule.max_terms == 3


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
  with pytest.raises(ValueError, match='num_terms=0: expected a number from 1'):
    numerics.FixedTruncation(0)


@pytest.mark.parametrize('kind, max_examples', [('dense', None), ('conv', 2)])
def test_skipped_value_and_gradient_are_those_of_the_block(kind, max_examples):
  g_fn, weights, x = testing.make_block(kind)
  g = numerics.ResidualFunction(g_fn, max_examples=lambda: max_examples)
  cotangent = tf.constant(np.random.default_rng(7).normal(size=x.shape))

  def skipped(weights, x):
    return numerics.forward_and_log_det(g, weights, x, numerics.Skip())[0]

  def plain(weights, x):
    return x + g_fn(weights, x)

  for fn in (skipped, tf.function(skipped)):
    np.testing.assert_allclose(fn(weights, x), plain(weights, x), atol=1e-14)
    assert testing.relative_error(
        testing.gradients(fn, weights, x, cotangent),
        testing.gradients(plain, weights, x, cotangent)) < 1e-12


def test_a_skipped_log_determinant_is_nan_and_typed_as_the_input():
  g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
  for dtype in (tf.float32, tf.float64):
    log_det = numerics.forward_and_log_det(
        g, [], tf.ones([5, 2], dtype), numerics.Skip())[1]
    assert (log_det.shape, log_det.dtype) == ([5], dtype)
    assert np.all(np.isnan(log_det))


def test_nobody_can_ask_for_skip_by_name():
  assert not numerics.Skip.is_random
  with pytest.raises(ValueError, match='Register yours'):
    registries.ESTIMATORS.name_of(numerics.Skip)
