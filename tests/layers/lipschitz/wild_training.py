"""Training at a rate at which nothing but a constraint bounds the weights."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics


def train(
    g: keras.layers.Layer, watch_fn: Callable[[], None] = lambda: None) -> None:
  """Trains a density of two numbers by TFP and Keras, in 100 steps.

  And checks that the loss falls, and that inverses converge.

  Args:
    g: of its only block.
    watch_fn: called after each step.
  """
  block = bijectors.ResidualBlock(
      g, event_shape=[2], estimator=numerics.Exact())
  density = tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros(2)), tfb.Invert(block))
  x = tf.random.stateless_normal([64, 2], [0, 0]) * [2.0, 0.1] + [1.0, -3.0]
  optimizer = keras.optimizers.Adam(0.3)
  variables = density.trainable_variables
  optimizer.build(variables)

  @tf.function
  def train_step():
    with tf.GradientTape() as tape:
      loss = -tf.reduce_mean(density.log_prob(x))
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss

  losses = []
  for _ in range(100):
    losses.append(float(train_step()))
    watch_fn()
  assert losses[-1] < losses[0] and np.all(np.isfinite(losses))
  for layer in layers.as_lipschitz_layer(g).constrained_layers():
    assert np.abs(layer.kernel.value).max() > 2.0  # It was wild.
  z = density.bijector.inverse(x)
  np.testing.assert_allclose(density.bijector.forward(z), x, atol=1e-4)
