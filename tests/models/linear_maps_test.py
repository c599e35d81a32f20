"""Invertible linear maps before blocks: where, of what, from which seed."""

import numpy as np
import pytest

from tests.models import blocks_test
from tf_resflow import layers
from tf_resflow.configuration import registries
from tf_resflow.models import linear_maps


@pytest.mark.parametrize('name', ['free', 'lu'])
@pytest.mark.parametrize('event_shape, kernel_sizes, kind, size', [
    ((4, 4, 3), (3, 1), layers.InvertibleConv1x1, 3),
    ((2, 2, 3), None, layers.InvertibleLinear, 12),
    ((6,), None, layers.InvertibleLinear, 6)])
def test_maps(name, event_shape, kernel_sizes, kind, size):
  (linear,) = registries.INVERTIBLE_LINEARS.get(name)(
      blocks_test.make_request(event_shape, kernel_sizes))
  linear.build((None, *event_shape))
  assert type(linear) is kind and linear.parameterization == name
  assert linear.matrix().shape == (size, size)
  assert (linear.name, linear.compute_dtype) == ('block_2_linear', 'float64')


def test_where_there_is_none():
  request = blocks_test.make_request((16,), None)
  assert linear_maps.make_none(request) == []
  assert linear_maps.make_free(
      request._replace(flattened_from=(2, 2, 4))) == []


def test_seeds_follow_the_index():
  def start(index, seed=0):
    (linear,) = linear_maps.make_lu(
        blocks_test.make_request((8,), None, index=index, seed=seed))
    linear.build((None, 8))
    return linear.matrix().numpy()

  np.testing.assert_array_equal(start(1), start(1))
  assert not np.array_equal(start(1), start(2))
  assert not np.array_equal(start(1), start(1, seed=1))
