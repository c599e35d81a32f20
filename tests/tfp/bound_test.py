"""The Lipschitz bound survives a training loop that knows nothing of it."""

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests.layers import operators
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics

_COEFF = 0.9


def make_density():
  """A block of convolutions; returns it and its linear layers."""
  parts = [layers.SpectralConv2D(3, 3, coeff=_COEFF, seed=0),
           layers.SpectralConv2D(1, 3, coeff=_COEFF, seed=5)]
  g = keras.Sequential([
      keras.Input((3, 3, 1)), parts[0], layers.LipSwish(), parts[1]])
  flow = tfb.Chain([
      tfb.Reshape([9], event_shape_in=[3, 3, 1]), bijectors.ResidualBlock(
          g, estimator=numerics.FixedTruncation(2), name='conv')])
  base = tfd.MultivariateNormalDiag(tf.zeros([9]))
  return tfd.TransformedDistribution(base, tfb.Invert(flow)), parts


def test_30_steps_through_log_prob_and_optimizer_alone():
  density, parts = make_density()
  variables = density.trainable_variables
  optimizer = keras.optimizers.Adam(0.1)
  optimizer.build(variables)
  rng = np.random.default_rng(0)
  # Narrower than the base distribution, so that the flow has to expand it.
  data = tf.constant(0.3 * rng.normal(size=[64, 3, 3, 1]), tf.float32)

  @tf.function(autograph=False)
  def step(x):
    with tf.GradientTape() as tape:
      loss = -tf.reduce_mean(density.log_prob(x))
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss

  losses = []
  for i in range(30):
    losses.append(step(data).numpy())
    if i in (0, 5, 29):
      norm = max(map(operators.true_norm, parts))
      assert norm <= _COEFF * (1.0 + 1e-3), f'step {i}'
  assert np.all(np.isfinite(losses))
  assert losses[-1] < losses[0]
  # The test would notice: raw kernels have grown beyond the bound.
  raw = [float(layer.converged_norm().norm) for layer in parts]
  assert max(raw) > 1.5 * _COEFF
  for layer in parts:
    bound = layer.certificate(target=1.0).bound
    assert operators.true_norm(layer) <= bound < 1.0
