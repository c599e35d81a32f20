"""Convolutions whose norm is that at their own spatial size."""

import pytest
import tensorflow as tf

from tests.layers import operators
from tf_resflow import errors
from tf_resflow import layers


@pytest.mark.parametrize('kernel_size', [2, (3, 4), (3, 3, 3)])
def test_refuses_even_kernels(kernel_size):
  with pytest.raises(ValueError, match='odd integers'):
    layers.SpectralConv2D(3, kernel_size)


@pytest.mark.parametrize('shape', [(None, None, 4, 2), (None, 4, 2)])
def test_refuses_an_unknown_spatial_size(shape):
  with pytest.raises(ValueError, match=r'static \[B, H, W, C\]'):
    layers.SpectralConv2D(3, 3).build(shape)


def test_refuses_another_spatial_size():
  """The norm grows with the image: 0.98 at 2 x 2 is more at 8 x 8."""
  layer = layers.SpectralConv2D(
      1, 3, kernel_initializer='ones', dtype='float64')
  layer.build((None, 2, 2, 1))
  with pytest.raises(errors.InvalidValueError, match=(
      r'^inputs=\(1, 8, 8, 1\): expected images of 2 x 2 in .* one layer per '
      'spatial size.$')):
    layer(tf.ones([1, 8, 8, 1], tf.float64))
  larger = layers.SpectralConv2D(
      1, 3, kernel_initializer='zeros', use_bias=False, dtype='float64')
  larger.build((None, 8, 8, 1))
  larger.kernel.assign(layer.normalized_kernel() * 0.4)
  assert operators.true_norm(larger, (8, 8, 1)) > 0.98 * 0.8
