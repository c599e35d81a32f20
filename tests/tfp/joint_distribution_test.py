"""Densities of flows as parts of joint distributions."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics

_NOISE = 0.2


def make_density(**kwargs):
  g = keras.Sequential([
      layers.SpectralDense(8, seed=0), layers.LipSwish(),
      layers.SpectralDense(2, seed=5)])
  block = bijectors.ResidualBlock(g, event_shape=[2], **kwargs)
  return tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros(2)), tfb.Invert(block),
      name='position')


def make_joint(kind, density):
  def make_reading(position):
    return tfd.Independent(tfd.Normal(position, _NOISE), 1, name='reading')

  if kind == 'coroutine':

    def model():
      position = yield tfd.JointDistributionCoroutine.Root(density)
      yield make_reading(position)

    return tfd.JointDistributionCoroutine(model)

  def batched_model():
    position = yield density
    yield make_reading(position)

  return tfd.JointDistributionCoroutineAutoBatched(batched_model)


@pytest.mark.parametrize('kind, is_traced', [
    ('coroutine', False), ('coroutine', True),
    pytest.param('auto_batched', True, marks=pytest.mark.slow)])
def test_joint_density_is_the_product_of_its_parts(kind, is_traced):
  density = make_density(estimator=numerics.Exact())
  joint = make_joint(kind, density)
  wrap = tf.function if is_traced else lambda fn: fn
  draw = wrap(lambda: joint.sample(4, seed=1))()
  assert draw.position.shape == draw.reading.shape == [4, 2]
  reading = tfd.MultivariateNormalDiag(draw.position, [_NOISE, _NOISE])
  expected = density.log_prob(tf.identity(draw.position)) + reading.log_prob(
      draw.reading)
  given = joint.experimental_pin(reading=draw.reading)
  np.testing.assert_allclose(
      wrap(given.unnormalized_log_prob)(position=draw.position), expected,
      rtol=1e-5, atol=1e-5)


def gradients(joint, variables, draw):
  with tf.GradientTape() as tape:
    loss = -tf.reduce_mean(joint.log_prob(draw))
  return tape.gradient(loss, variables)


@pytest.mark.slow
def test_auto_batched_gradients_are_right_or_refused():
  """`tf.vectorized_map` drops custom gradients, without a word of its own."""
  density = make_density(estimator=numerics.Exact())
  coroutine = make_joint('coroutine', density)
  variables = coroutine.trainable_variables
  assert {v.ref() for v in variables} == {
      v.ref() for v in density.trainable_variables}
  draw = coroutine.sample(4, seed=1)
  # Has no custom gradient that depends on the batch.
  for actual, expected in zip(*[
      gradients(joint, variables, draw)
      for joint in (make_joint('auto_batched', density), coroutine)],
                              strict=True):
    assert np.any(expected != 0.0)
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)
  joint = make_joint('auto_batched', make_density())

  @tf.function(autograph=False)
  def run():
    return gradients(joint, joint.trainable_variables, draw)

  with pytest.raises(LookupError, match='JointDistributionCoroutine with Root'):
    run()
