"""Concatenations keep distances, up to the constant of their part."""

import numpy as np
import tensorflow as tf

from tests import loops
from tests import networks
from tests import splits
from tests.layers.lipschitz import container_test
from tf_resflow import layers

_X = tf.constant(np.random.default_rng(0).normal(size=[5, 3]))


def make(part, raw=(1.0, 1.0)):
  layer = layers.Concatenation(part)
  layers.build_once(layer, _X.shape)
  layer.raw.assign(raw)
  return layer


@loops.each([(1.0, 1.0), (3.0, -2.0), (-50.0, 50.0), (50.0, 0.0)])
def test_of_the_identity_it_keeps_norms(*raw):
  y = make(layers.Identity(dtype='float64'), raw)(_X)
  np.testing.assert_allclose(
      np.linalg.norm(y, axis=1), np.linalg.norm(_X, axis=1), rtol=1e-14)
  first, second = np.log1p(np.exp(raw)) + 0.1
  np.testing.assert_allclose(y[:, :3] * second, y[:, 3:] * first, rtol=1e-12)
  assert np.abs(y[:, 3:]).min() > 0.0


def test_the_constant_is_that_of_a_part_above_1():
  steep = container_test.Mean(
      *(layers.SpectralDense(3, dtype='float64') for _ in range(2)))
  steep.combine = lambda constants: 3.0
  assert make(steep).lipschitz_bound == 3.0
  gentle = layers.SpectralDense(4, coeff=0.5, seed=1, dtype='float64')
  layer = make(gentle)
  assert layer.lipschitz_bound == layer.norm_estimate() == 1.0
  assert layer.certificate().bound == 1.0 and layer.bound_source == (
      'construction')


def test_other_norms_are_refused():
  assert splits.refusal(layers.Concatenation, networks.Half(2.0, np.inf)) == (
      'part=a map from l_2.0 to l_inf: expected one of l_2.')
