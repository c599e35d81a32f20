"""A flow as the surrogate posterior of a small regression.

The oracle is the posterior on a grid. Its first two parameters are correlated
by -0.9, so that a surrogate of independent parts would state less than half of
their standard deviations.
"""

import functools

import keras
import numpy as np
import pytest
from sklearn import datasets
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics

_NUM_EXAMPLES = 12


@functools.cache
def regression():
  """Body mass index above 15, in tens, and the progression of diabetes."""
  features, targets = datasets.load_diabetes(return_X_y=True, scaled=False)
  x = (features[:_NUM_EXAMPLES, 2] - 15.0) / 10.0
  return np.float32(x), np.float32(targets[:_NUM_EXAMPLES] / 100.0)


def target_log_prob(parameters):
  """Log-density of `(intercept, slope, log noise)`, `[..., 3] -> [...]`."""
  x, y = regression()
  intercept, slope, log_noise = tf.unstack(parameters[..., tf.newaxis], axis=-2)
  prior = tf.reduce_sum(tfd.Normal(0.0, 1.0).log_prob(parameters), axis=-1)
  return prior + tf.reduce_sum(
      tfd.Normal(intercept + slope * x, tf.exp(log_noise)).log_prob(y), axis=-1)


@functools.cache
def posterior_moments():
  """Means, standard deviations and correlations of the posterior on a grid."""
  axes = [np.linspace(*limits, 60) for limits in ((-3, 4), (-2, 4), (-2, 2))]
  points = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1).reshape(-1, 3)
  log_prob = np.concatenate([
      target_log_prob(tf.constant(part, tf.float32))
      for part in np.array_split(points, 6)]).astype(np.float64)
  weights = np.exp(log_prob - log_prob.max())
  weights /= weights.sum()
  mean = weights @ points
  covariance = (points - mean).T @ (weights[:, None] * (points - mean))
  stddev = np.sqrt(np.diag(covariance))
  return mean, stddev, covariance / np.outer(stddev, stddev)


def make_flow():
  g = keras.Sequential([
      layers.SpectralDense(32, seed=0), layers.LipSwish(),
      layers.SpectralDense(3, seed=10)])
  return bijectors.ResidualBlock(g, event_shape=[3], estimator=numerics.Exact())


@pytest.mark.slow
@pytest.mark.parametrize('direction', ['inverse', 'forward'])
def test_moments_are_those_of_the_posterior(direction):
  flow = make_flow()
  surrogate = tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros(3)), bijectors.Chain([
          tfb.Shift(tf.Variable(tf.zeros(3))),
          tfb.Scale(log_scale=tf.Variable(tf.fill([3], -1.0))),
          tfb.Invert(flow) if direction == 'inverse' else flow]))
  num_steps = 400
  optimizer = keras.optimizers.Adam(
      keras.optimizers.schedules.CosineDecay(0.03, num_steps))
  optimizer.build(surrogate.trainable_variables)
  losses = tfp.vi.fit_surrogate_posterior(
      target_log_prob, surrogate, optimizer, num_steps=num_steps,
      sample_size=32, seed=0)
  assert np.mean(losses[-20:]) < np.mean(losses[:20])
  samples = surrogate.sample(4000, seed=1)
  mean, stddev, correlations = posterior_moments()
  assert correlations[0, 1] < -0.85  # What the test needs.
  np.testing.assert_array_less(
      np.abs(np.mean(samples, axis=0) - mean), 0.1 * stddev)
  np.testing.assert_allclose(np.std(samples, axis=0), stddev, rtol=0.1)
