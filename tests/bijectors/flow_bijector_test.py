"""Results that are reused within a call, and the number of evaluations."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests import networks
from tf_resflow import bijectors
from tf_resflow import layers


class CountingLayer(keras.layers.Layer):
  """`0.5 tanh(scale x)`; counts its executions."""

  def build(self, input_shape):
    self.scale = self.add_weight(name='scale', shape=(), initializer='ones')
    self.count = tf.Variable(0, trainable=False)

  def call(self, inputs):
    with tf.control_dependencies([self.count.assign_add(1)]):
      return 0.5 * tf.tanh(self.scale.value * inputs)


def make_bijector(**kwargs):
  g = CountingLayer()
  return g, bijectors.ResidualBlock(
      g, lipschitz_bound=0.9, event_shape=[2], **kwargs)


def density_of(bijector):
  return tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros(2)), bijector)


def executions(g, fn):
  before = g.count.numpy()
  fn()
  return int(g.count.numpy() - before)


def test_g_runs_once_per_log_prob():
  g, bijector = make_bijector()
  x = tf.ones([3, 2])
  density = density_of(tfb.Invert(bijector))
  density.log_prob(x)
  assert executions(g, lambda: density.log_prob(x)) == 1
  traced = tf.function(density.log_prob)
  traced(x)
  assert executions(g, lambda: traced(x)) == 1
  chain = density_of(tfb.Invert(
      bijectors.Chain([tfb.Shift(1.0), bijector, tfb.Scale(2.0)])))
  assert executions(g, lambda: chain.log_prob(x)) == 1


def test_a_sample_and_its_density_take_one_solve():
  g, bijector = make_bijector(seed=1)
  density = density_of(tfb.Invert(bijector))
  num_solve = executions(g, lambda: density.sample(3, seed=1))
  assert num_solve > 2
  found = []
  count = executions(g, lambda: found.extend(
      density.experimental_sample_and_log_prob(3, seed=1)))
  assert count == num_solve + 1
  np.testing.assert_allclose(
      found[1], density.log_prob(tf.identity(found[0])), rtol=1e-4)
  # Nothing that was handed over outlives its tensors.
  assert not any(hasattr(t, '_resflow_handover') for t in found)


def test_a_coupling_evaluates_its_network_once_in_either_direction():
  network, counted = keras.layers.Dense(2), []
  call = network.call
  network.call = lambda inputs: (counted.append(1), call(inputs))[1]
  coupling = layers.AffineCoupling(network)
  y, log_det = coupling.forward_and_log_det(tf.ones([3, 2]))
  flow = bijectors.AffineCoupling(layer=coupling)
  for inverse in (lambda: coupling.inverse_and_log_det(y)[1],
                  lambda: flow.inverse_log_det_jacobian(y)):
    counted.clear()
    np.testing.assert_allclose(inverse(), -log_det, rtol=1e-5)
    assert len(counted) == 1


def test_inverse_of_forward_is_solved_for():
  g, bijector = make_bijector()
  x = tf.ones([3, 2])
  for wrapped in (bijector, bijectors.Chain([bijector])):
    y = wrapped.forward(x)
    solution = wrapped.inverse(tf.identity(y))
    assert executions(g, functools.partial(wrapped.inverse, y)) > 1
    np.testing.assert_array_equal(wrapped.inverse(y), solution)
    np.testing.assert_allclose(solution, x, atol=1e-5)


def test_g_runs_once_where_latents_are_structures():
  g, bijector = make_bijector(seed=1)
  chain = bijectors.Chain([tfb.Split([1, 1]), bijector])
  density = tfd.TransformedDistribution(
      tfd.JointDistributionSequential(
          [tfd.MultivariateNormalDiag(tf.zeros(1))] * 2), tfb.Invert(chain))
  x = tf.ones([3, 2])
  assert executions(g, lambda: density.log_prob(x)) == 1
  np.testing.assert_allclose(
      density.log_prob(x), density_of(tfb.Invert(bijector)).log_prob(x),
      rtol=1e-5)


def test_a_log_det_that_is_asked_for_directly_is_the_present_one():
  """Results of `forward` are not reused: weights, tapes, draws change."""
  for wrapped in (lambda b: b, lambda b: bijectors.Chain([b])):
    g, bijector = make_bijector(estimator='exact')
    flow = wrapped(bijector)
    y = flow.forward(tf.ones([3, 2]))
    with tf.GradientTape() as tape:
      tape.watch(y)
      log_det = flow.inverse_log_det_jacobian(y, 1)
    gradients = tape.gradient(log_det, [y, g.scale.value])
    assert all(np.all(np.abs(gradient) > 1e-3) for gradient in gradients)
    assert np.all(np.abs(log_det) > 0.1)
    g.scale.assign(0.0)
    np.testing.assert_array_equal(flow.inverse_log_det_jacobian(y, 1), 0.0)
  bijector = bijectors.ResidualBlock(networks.dense_g('float32'))
  y = bijector.forward(tf.ones([3, 3]))
  draws = [bijector.inverse_log_det_jacobian(y).numpy() for _ in range(4)]
  assert len({draw.tobytes() for draw in draws}) > 1


def test_the_body_of_a_joint_distribution_may_change_what_a_log_det_is():
  """As any code, though a method of a distribution runs it."""
  g, bijector = make_bijector()
  found, a = [None] * 3, tf.ones([3, 2])

  @tfd.JointDistributionCoroutine
  def joint():
    yield tfd.JointDistributionCoroutine.Root(
        tfd.MultivariateNormalDiag(tf.zeros(2)))
    g.scale.assign(1.0)
    z = bijector.forward(a, estimator='fixed:1')
    with tf.GradientTape() as tape:
      log_det = bijector.inverse_log_det_jacobian(z, estimator='exact')
    gradient = tape.gradient(log_det, g.scale.value)
    g.scale.assign(0.0)
    found[:] = log_det, gradient, bijector.inverse_log_det_jacobian(
        z, estimator='exact')

  joint.log_prob(tf.zeros([1, 2]))
  log_det, gradient, after = found
  np.testing.assert_allclose(
      log_det, -2 * np.log1p(0.5 / np.cosh(1.0)**2), rtol=1e-5)
  assert abs(gradient) > 1e-3
  np.testing.assert_array_equal(after, 0.0)


def test_the_same_tensor_sees_new_weights():
  g, bijector = make_bijector(seed=1)
  density = density_of(tfb.Invert(bijector))
  y, results = tf.ones([3, 2]), []
  for scale in (1.0, 0.5, -1.0):
    g.scale.assign(scale)
    np.testing.assert_allclose(
        bijector.forward(y), 1.0 + 0.5 * np.tanh(scale), rtol=1e-6)
    x = bijector.inverse(y)
    np.testing.assert_allclose(x + 0.5 * tf.tanh(scale * x), y, atol=1e-5)
    results.append(density.log_prob(y))
    np.testing.assert_array_equal(results[-1], density.log_prob(tf.identity(y)))
  assert not np.allclose(*results[:2])


@pytest.mark.parametrize('wrap', [
    lambda b: b, lambda b: tfb.Invert(bijectors.Chain([b]))],
                         ids=['single', 'inverted chain'])
def test_log_prob_of_a_sample_sees_new_weights_and_has_all_gradients(wrap):
  g, bijector = make_bijector(seed=1)
  density = density_of(wrap(bijector))
  x = density.sample(3, seed=2)
  g.scale.assign(0.5)
  gradients = []
  for value in (x, tf.identity(x)):
    with tf.GradientTape() as tape:
      loss = tf.reduce_sum(density.log_prob(value))
    gradients.append((loss, tape.gradient(loss, g.scale.value)))
  np.testing.assert_array_equal(*gradients)


def make_chain():
  """Two counting blocks; returns their g and the chain."""
  parts = [make_bijector(name=name) for name in ('first', 'last')]
  return [g for g, _ in parts], bijectors.Chain([b for _, b in parts])


def test_log_dets_of_a_chain_evaluate_every_block_once():
  layers_, chain = make_chain()
  x = tf.ones([3, 2])
  for g in layers_:
    count = executions(g, lambda: chain.forward_log_det_jacobian(x))
    assert count == 1
    num_solve = executions(g, lambda: chain.inverse(x))
    count = executions(g, lambda: chain.inverse_log_det_jacobian(x))
    assert count == num_solve + 1
    nested = bijectors.Chain([tfb.Invert(bijectors.Chain([chain]))])
    count = executions(g, lambda n=nested: n.forward_log_det_jacobian(x))
    assert count == num_solve + 1
  with pytest.raises(ValueError, match='event_ndims=5: expected 1 to 2'):
    chain.forward_log_det_jacobian(x, event_ndims=5)
