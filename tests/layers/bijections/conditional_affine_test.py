"""Scales and shifts of a condition, and the base distribution they make."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests import testing
from tf_resflow import layers


def _affine(**settings):
  affine = layers.ConditionalAffine(2, dtype='float64', **settings)
  affine.build((None, 3))
  affine.kernel.assign(np.random.default_rng(0).normal(size=[2, 6]))
  return affine


def test_is_a_base_distribution_with_mean_and_scale():
  affine = _affine()
  condition = tf.constant([[0.3, -0.2], [1.0, 2.0]], tf.float64)
  z = tf.constant(np.random.default_rng(1).normal(size=[2, 3]))
  raw, mean = np.split(condition @ affine.kernel.value, 2, axis=1)
  base = tfd.MultivariateNormalDiag(mean, np.exp(3.0 * np.tanh(raw / 3.0)))
  y, log_det = affine.forward_and_log_det(z, condition=condition)
  standard = tfd.MultivariateNormalDiag(tf.zeros([3], tf.float64))
  np.testing.assert_allclose(
      standard.log_prob(y) + log_det, base.log_prob(z), rtol=1e-12)


def test_no_condition_scales_beyond_the_bound():
  affine = _affine(max_log_scale=0.5)
  condition = 10.0**np.linspace(-2, 12, 50)[:, np.newaxis] * [[1.0, -2.0]]
  z = tf.ones([50, 3], tf.float64)
  jacobian = testing.full_jacobian(
      lambda z: affine(z, condition=tf.constant(condition)), z)
  scales = np.diagonal(jacobian, axis1=1, axis2=2)
  bounds = affine.slope_bounds()
  assert np.all(scales >= bounds.least * (1 - 1e-12))
  assert np.all(scales <= bounds.greatest * (1 + 1e-12))
  assert scales.max() > 0.99 * bounds.greatest


def test_begins_as_the_identity_per_channel_or_feature():
  x = tf.ones([2, 3, 4])
  for per_feature, size in ((False, 4), (True, 12)):
    affine = layers.ConditionalAffine(5, per_feature)
    np.testing.assert_array_equal(affine(x, condition=tf.ones([2, 5])), x)
    assert affine.kernel.shape == (5, 2 * size)


def test_refuses_no_bound():
  testing.check_refusal(
      layers.ConditionalAffine, {'condition_size': 2, 'max_log_scale': 0.0},
      'max_log_scale=0.0: expected a number above 0')
