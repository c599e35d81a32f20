"""Hamiltonian Monte Carlo in the coordinates of a flow."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics


@pytest.mark.slow
def test_nuts_is_compiled_and_has_the_distribution():
  """Its loops within loops ask gradients for constant sizes."""
  block = bijectors.ResidualBlock(keras.Sequential([
      layers.SpectralDense(8, seed=1), layers.LipSwish(),
      layers.SpectralDense(3, seed=5)]), event_shape=[3],
                                  estimator=numerics.Exact())
  scale = tf.constant([1.0, 2.0, 0.5])
  target = tfd.MultivariateNormalDiag([1.0, 0.0, -1.0], scale)

  @tf.function(jit_compile=True)
  def draw():
    kernel = tfp.mcmc.TransformedTransitionKernel(
        tfp.mcmc.NoUTurnSampler(
            target.log_prob, step_size=0.5, max_tree_depth=3), block)
    return tfp.mcmc.sample_chain(
        200, tf.zeros([20, 3]), kernel=kernel, num_burnin_steps=20,
        trace_fn=None, seed=[0, 1])

  x = draw()
  errors = np.mean(x, axis=(0, 1)) - target.mean()
  assert np.all(np.abs(errors) < 0.1 * scale)
  np.testing.assert_allclose(np.std(x, axis=(0, 1)), scale, rtol=0.1)
