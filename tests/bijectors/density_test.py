"""The density of events against the change of variables, by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests.bijectors import flow_bijector_test
from tf_resflow import bijectors
from tf_resflow import private_tfp_apis


@pytest.mark.parametrize('dtype', ['float32', 'float64'])
def test_of_a_scale(dtype):
  distribution = bijectors.distribution(
      tfb.Scale(tf.constant(2.0, dtype)),
      tfd.MultivariateNormalDiag(tf.zeros(3, dtype)))
  assert distribution.dtype == dtype and distribution.event_shape == [3]
  x = np.array([[0.5, -1.0, 0.25], [0.0, 0.0, 0.0]])
  expected = (-0.5 * np.sum((2.0 * x)**2, axis=1)
              - 1.5 * np.log(2.0 * np.pi) + 3.0 * np.log(2.0))
  np.testing.assert_allclose(
      distribution.log_prob(tf.constant(x, dtype)), expected, rtol=1e-6)
  samples = distribution.sample(20_000, seed=0)
  np.testing.assert_allclose(np.std(samples, axis=0), 0.5, rtol=0.03)


def make_flow(wrap):
  """Returns `g`, a distribution of one pass and the plain one of TFP."""
  g = flow_bijector_test.CountingLayer(dtype='float64')
  flow = wrap(bijectors.ResidualBlock(
      g, lipschitz_bound=0.9, event_shape=[2], seed=1, dtype='float64'))
  base = tfd.MultivariateNormalDiag(tf.zeros(2, tf.float64))
  return g, bijectors.distribution(flow, base), (
      tfd.TransformedDistribution(base, tfb.Invert(flow)))


_WRAPPED = pytest.mark.parametrize('wrap', [
    lambda b: b,
    lambda b: bijectors.Chain([tfb.Shift(tf.constant(1.0, tf.float64)), b]),
    lambda b: tfb.Invert(bijectors.Chain([tfb.Invert(b)]))],
                                   ids=['block', 'chain', 'inverted'])


@_WRAPPED
@pytest.mark.parametrize('is_traced', [False, True])
def test_one_pass(wrap, is_traced, monkeypatch):
  """And no look at who asks."""
  g, density, plain = make_flow(wrap)
  x = tf.constant([[0.5, -1.0], [2.0, 0.0], [0.1, 0.2]], tf.float64)
  with monkeypatch.context() as patched:
    patched.setattr(private_tfp_apis, 'distribution_call', lambda: 1 / 0)

    def run(fn, *args):
      fn = tf.function(fn, autograph=False) if is_traced else fn
      fn(*args)
      before = int(g.count)
      return fn(*args), int(g.count) - before

    log_prob, num_passes = run(density.log_prob, x)
    assert num_passes == 1
    (samples, log_probs), num_pair = run(
        lambda: density.experimental_sample_and_log_prob([4, 3], seed=(0, 1)))
    assert log_prob.shape == [3] and log_probs.shape == [4, 3]
  np.testing.assert_allclose(log_prob, plain.log_prob(x), rtol=1e-6)
  expected, num_solve = run(lambda: plain.sample([4, 3], seed=(0, 1)))
  assert num_pair <= num_solve + 1
  np.testing.assert_allclose(samples, expected, rtol=1e-6)
  np.testing.assert_allclose(log_probs, plain.log_prob(samples), rtol=1e-6)
  np.testing.assert_allclose(
      density.copy(name='other').prob(x), plain.prob(x), rtol=1e-6)
  assert density.batch_shape == plain.batch_shape


def test_keywords_and_batch_shapes():
  """Of the base, the bijector and a condition, which broadcast."""
  flow = bijectors.ConditionalAffine(
      3, event_shape=[2], dtype='float64',
      kernel_initializer=keras.initializers.RandomNormal(seed=0))
  chain = bijectors.Chain([tfb.Shift(tf.ones([5, 2], tf.float64)), flow])
  base = tfd.MultivariateNormalDiag(tf.zeros(2, tf.float64))
  density = bijectors.FlowDistribution(base, tfb.Invert(chain))
  plain = tfd.TransformedDistribution(base, tfb.Invert(chain))
  assert density.batch_shape == plain.batch_shape == [5]
  kwargs = {'bijector_kwargs': {flow.name: {'condition': tf.constant(
      np.random.default_rng(0).normal(size=[5, 3]))}}}
  x = tf.constant(np.random.default_rng(1).normal(size=[4, 5, 2]))
  np.testing.assert_allclose(
      density.log_prob(x, **kwargs), plain.log_prob(x, **kwargs), rtol=1e-6)
  for found, expected in zip(*(
      d.experimental_sample_and_log_prob(4, seed=(0, 1), **kwargs)
      for d in (density, plain)), strict=True):
    assert found.shape[:2] == [4, 5]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
