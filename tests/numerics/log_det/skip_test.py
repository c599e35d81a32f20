"""Tests of passes without a log-determinant."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import numerics
from tf_resflow.configuration import registries


@pytest.mark.parametrize('kind', ['dense', 'conv'])
@pytest.mark.parametrize('max_examples', [None, 2])
def test_value_and_gradient_are_those_of_the_block(kind, max_examples):
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


def test_the_log_determinant_is_nan_and_typed_as_the_input():
  g = numerics.ResidualFunction(lambda weights, x: 0.5 * x)
  for dtype in (tf.float32, tf.float64):
    log_det = numerics.forward_and_log_det(
        g, [], tf.ones([5, 2], dtype), numerics.Skip())[1]
    assert (log_det.shape, log_det.dtype) == ([5], dtype)
    assert np.all(np.isnan(log_det))


def test_nobody_can_ask_for_it_by_name():
  assert not numerics.Skip.is_random
  with pytest.raises(ValueError, match='Register yours'):
    registries.ESTIMATORS.name_of(numerics.Skip)
