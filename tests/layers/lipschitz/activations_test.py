"""Activations of slope at most one: values and slopes."""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import testing
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.specs import registries


@loops.each([
    ('elu', lambda x: np.where(x > 0, x, np.expm1(x))),
    ('softplus', lambda x: np.logaddexp(0.0, x)),
    ('relu', lambda x: np.maximum(x, 0.0)),
    ('tanh', np.tanh),
    ('identity', lambda x: x),
    ('lipschitz_cube', lambda x: np.where(
        np.abs(x) < 1, x**3 / 3, x - 2 / 3 * np.sign(x))),
])
def test_companions(name, expected):
  layer = registries.ACTIVATIONS.get(name)(dtype='float64')
  x = np.linspace(-20.0, 20.0, 4001)
  y = np.asarray(layer(tf.constant(x)))
  np.testing.assert_allclose(y, expected(x), atol=1e-12)
  slopes = np.abs(np.diff(y) / np.diff(x))
  assert slopes.max() <= layer.lipschitz_bound + 1e-9
  assert slopes.max() >= layer.lipschitz_bound - 1e-3


@loops.each([layers.MaxMin, layers.FullSort])
def test_derivatives_are_permutations(layer_class):
  """Hence slopes are one in every norm."""
  layer = layer_class(dtype='float64')
  assert (layer.domain, layer.codomain) == (None, None)
  assert layer.lipschitz_bound == 1.0
  x = tf.constant(np.random.default_rng(0).normal(size=[3, 6]))
  for jacobian in np.asarray(testing.full_jacobian(layer, x)):
    assert set(jacobian.flat) == {0.0, 1.0}
    np.testing.assert_array_equal(jacobian.sum(axis=0), np.ones(6))
    np.testing.assert_array_equal(jacobian.sum(axis=1), np.ones(6))


def test_an_odd_number_of_channels_has_no_pairs():
  with pytest.raises(errors.InvalidValueError, match=(
      'expected an even number of channels')):
    layers.MaxMin()(tf.ones([2, 5]))


@loops.each([((-1,), (12,)), ((3, 4), (3, 4)), ((2, 2, 3), (2, 2, 3))], [0, 3])
def test_reshape_keeps_numbers_and_norms(target_shape, expected, batch_size):
  x = tf.reshape(tf.range(12.0 * batch_size), [batch_size, 6, 2])
  layer = layers.Reshape(target_shape)
  y = layer(x)
  assert y.shape == (batch_size, *expected)
  np.testing.assert_array_equal(np.ravel(y), np.ravel(x))
  assert layer.compute_output_shape((None, 6, 2)) == (None, *expected)
  assert layer.certificate() == (1.0, (), None)
