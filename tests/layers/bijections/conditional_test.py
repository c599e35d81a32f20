"""Bijections with a condition network, and conditional linear maps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests import loops
from tests import testing
from tf_resflow import errors
from tf_resflow import layers

_NUM_CONDITIONS = 300


def _random_affine(size=3):
  return layers.ConditionalAffine(size, kernel_initializer=(
      keras.initializers.RandomNormal(seed=1)))


def test_passes_what_the_network_makes_of_a_condition():
  network = layers.LabelEmbedding(4, 3, seed=1)
  affine = _random_affine()
  flow = layers.Conditional(affine, network)
  x = tf.random.stateless_normal([2, 5], [0, 0])
  y, log_det = flow.forward_and_log_det(x, condition=[3, 1])
  expected = affine.forward_and_log_det(
      x, condition=network(tf.constant([3, 1])))
  np.testing.assert_array_equal(y, expected[0])
  np.testing.assert_array_equal(log_det, expected[1])
  np.testing.assert_allclose(flow.inverse(y, condition=[3, 1]), x, atol=1e-6)
  assert flow.condition_spec == layers.ConditionSpec((), 4)
  assert len(flow.trainable_variables) == 2


@loops.each([
    (layers.ActNorm, layers.LabelEmbedding(4, 3),
     'bijection=act_norm: expected one that takes a condition'),
    (lambda name: _random_affine(2), layers.LabelEmbedding(4, 3, name='labels'),
     'condition_network=labels, of 3 outputs: expected numbers [B, 2]'),
    (lambda name: _random_affine(), keras.layers.Dense(3),
     'condition_network=<Dense')])
def test_refuses_what_does_not_fit(make_bijection, network, message):
  with pytest.raises(errors.InvalidValueError) as error:
    layers.Conditional(make_bijection(name='act_norm'), network)
  assert str(error.value).startswith(message)
  assert '\n' not in str(error.value)


def test_a_batch_of_another_size_is_refused_by_every_pass():
  flow = layers.Conditional(_random_affine(), layers.LabelEmbedding(4, 3))
  x = tf.ones([3, 5])
  for run in (
      lambda: flow(x, condition=[1, 2]),
      lambda: flow.forward_and_log_det(x, condition=[1, 2]),
      lambda: flow.inverse(x, condition=[1, 2]),
      lambda: flow.update_statistics(x, [1, 2])):
    with pytest.raises(errors.InvalidValueError, match=(
        'condition=a batch of 2: expected one of 3')):
      run()


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
  bounds = affine.bi_lipschitz_bounds()
  assert np.all(scales >= bounds.lower * (1 - 1e-12))
  assert np.all(scales <= bounds.upper * (1 + 1e-12))
  assert scales.max() > 0.99 * bounds.upper


@loops.each([
    (layers.ConditionalAffine, False, 8), (layers.ConditionalAffine, True, 24),
    (layers.ConditionalLinear, False, 16),
    (layers.ConditionalLinear, True, 144)])
def test_begins_as_the_identity_per_channel_or_feature(kind, per_feature, size):
  x = tf.ones([2, 3, 4])
  bijection = kind(5, per_feature)
  np.testing.assert_array_equal(bijection(x, condition=tf.ones([2, 5])), x)
  assert bijection.kernel.shape == (5, size)


def test_refuses_no_bound():
  testing.check_refusal(
      layers.ConditionalAffine, {'condition_size': 2, 'max_log_scale': 0.0},
      'max_log_scale=0.0: expected a number > 0')


@loops.each([2, 5])
def test_no_condition_stretches_beyond_the_bounds(size):
  """Conditions so far that every tanh saturates."""
  linear = layers.ConditionalLinear(3, dtype='float64')
  linear.build((None, size))
  rng = np.random.default_rng(0)
  linear.kernel.assign(rng.normal(size=linear.kernel.shape))
  scales = 10.0**rng.uniform(-2.0, 8.0, size=[_NUM_CONDITIONS, 1])
  condition = tf.constant(scales * rng.normal(size=[_NUM_CONDITIONS, 3]))
  x = tf.constant(rng.normal(size=[_NUM_CONDITIONS, size]))
  jacobian = testing.full_jacobian(lambda x: linear(x, condition=condition), x)
  values = np.linalg.svd(jacobian, compute_uv=False)
  bounds = linear.bi_lipschitz_bounds()
  assert bounds.lower <= values.min() and values.max() <= bounds.upper
  # The bounds are of the right size.
  assert values.max() > 0.3 * bounds.upper


def test_pixels_have_one_matrix_each():
  linear = layers.ConditionalLinear(2, dtype='float64')
  linear.build((None, 2, 3, 2))
  linear.kernel.assign(np.random.default_rng(0).normal(size=[2, 4]))
  x = tf.constant(np.random.default_rng(1).normal(size=[1, 2, 3, 2]))
  condition = tf.constant([[0.5, -1.0]], tf.float64)
  y, log_det = linear.forward_and_log_det(x, condition=condition)
  pixel = layers.ConditionalLinear(2, dtype='float64')
  pixel.build((None, 2))
  pixel.kernel.assign(linear.kernel)
  flat, flat_log_det = pixel.forward_and_log_det(
      tf.reshape(x, [6, 2]), condition=condition)
  np.testing.assert_allclose(tf.reshape(y, [6, 2]), flat, rtol=1e-12)
  np.testing.assert_allclose(log_det, [tf.reduce_sum(flat_log_det)])
