"""A bijection turned around: shapes, refusals, and what it solves."""

import numpy as np
import pytest
import tensorflow as tf

from tests import networks
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import numerics


def test_shapes_that_change():
  x = tf.random.stateless_normal([2, 4, 4, 1], [0, 0])
  squeeze = layers.Squeeze()
  y = squeeze(x)
  turned = layers.Inverse(squeeze)
  assert turned.compute_output_shape(y.shape) == (2, 4, 4, 1)
  np.testing.assert_array_equal(turned(y), x)
  np.testing.assert_array_equal(turned.inverse(x), y)
  with pytest.raises(errors.InvalidValueError, match=(
      r'input_shape=\(2, 4, 4, 1\): expected events \(2, 2, 4\)')):
    layers.Inverse(squeeze)(x)


def test_refuses_what_batches_set():
  chain = layers.Chain([layers.ActNorm(), layers.MovingMean(name='mean')])
  with pytest.raises(errors.InvalidValueError, match=(
      'bijection=act_norm.*, mean: expected none whose weights batches set. '
      'Put it beside')):
    layers.Inverse(chain)


def test_slopes_of_a_block_and_its_inverse_cancel():
  block = layers.ResidualBlock(networks.dense_g('float64'))
  turned = layers.Inverse(block)
  x = tf.random.stateless_normal([4, 3], [0, 0], dtype=tf.float64)
  both = layers.Chain([block, turned])
  solver = numerics.Banach(atol=1e-13)
  y, log_det = both.forward_and_log_det(
      x, estimator=numerics.Exact(), solver=solver)
  np.testing.assert_allclose(y, x, atol=1e-11)
  np.testing.assert_allclose(log_det, 0.0, atol=1e-11)
  bound = block.lipschitz_bound
  np.testing.assert_allclose(
      turned.slope_bounds()[:2], [1 / (1 + bound), 1 / (1 - bound)])
  # Of a map whose slopes nobody knows.
  assert layers.Inverse(layers.AffineCoupling(networks.dense_g('float64'))
                        ).slope_bounds()[:2] == (0.0, np.inf)


def test_equal_blocks_share_their_functions():
  chain = layers.Chain([layers.Inverse(layers.ResidualBlock(
      networks.dense_g('float64'))) for _ in range(3)])
  chain(tf.ones([2, 3], tf.float64))
  assert len({b.function for b in chain.elementary()}) == 1
