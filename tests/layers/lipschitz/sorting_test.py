"""Sorting activations: values, and permutations as derivatives."""

import numpy as np
import pytest
import tensorflow as tf

from tests import testing
from tf_resflow import errors
from tf_resflow import layers


def inputs(shape=(3, 6)):
  return np.random.default_rng(0).normal(size=shape)


def test_maxmin():
  x = inputs()
  a, b = x[:, :3], x[:, 3:]
  np.testing.assert_array_equal(
      layers.MaxMin(dtype='float64')(x),
      np.concatenate([np.maximum(a, b), np.minimum(a, b)], axis=1))


@pytest.mark.parametrize('shape', [(3, 6), (2, 4, 4, 5)])
def test_fullsort(shape):
  x = inputs(shape)
  np.testing.assert_array_equal(
      layers.FullSort(dtype='float64')(x), np.sort(x, axis=-1))


@pytest.mark.parametrize('layer_class', [layers.MaxMin, layers.FullSort])
def test_derivatives_are_permutations(layer_class):
  """So slopes are one in every norm."""
  layer = layer_class(dtype='float64')
  assert (layer.domain, layer.codomain) == (None, None)
  assert layer.lipschitz_bound == 1.0
  for jacobian in np.asarray(
      testing.full_jacobian(layer, tf.constant(inputs()))):
    assert set(jacobian.flat) == {0.0, 1.0}
    np.testing.assert_array_equal(jacobian.sum(axis=0), np.ones(6))
    np.testing.assert_array_equal(jacobian.sum(axis=1), np.ones(6))


def test_an_odd_number_of_channels_has_no_pairs():
  with pytest.raises(errors.InvalidValueError, match=(
      'expected an even number of channels')):
    layers.MaxMin()(tf.ones([2, 5]))
