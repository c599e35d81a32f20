"""Lipschitz bounds survive a training loop that knows nothing of them."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests.layers import operators
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow import numerics

_COEFF = 0.9
_LEARNED = ('learned',) * 3
_NORMAL = tf.random.stateless_normal
# Linear layers, their sizes and settings, the estimator, and the data: some of
# their numbers vary so little that the flow has to expand them.
_CASES = {
    'conv': (layers.SpectralConv2D, (3, 1), {'kernel_size': 3},
             numerics.FixedTruncation(2), 0.3 * _NORMAL([64, 3, 3, 1], [0, 0])),
    'dense': (layers.InducedNormDense, (16, 2), {}, numerics.Exact(),
              _NORMAL([64, 2], [0, 0]) * [2.0, 0.1] + [1.0, -3.0])}


def _make_g(kind, orders, bound):
  """Returns a network, and its linear layers."""
  make, sizes, settings, *_ = _CASES[kind]
  linear = [
      make(size, coeff=_COEFF, seed=4 * i + 1, **settings, **(
          {'domain': orders[i], 'codomain': orders[i + 1], 'bound': bound}
          if orders else {})) for i, size in enumerate(sizes)]
  sequence = (
      layers.LearnedNorms if orders == _LEARNED else layers.LipschitzSequential)
  return sequence([linear[0], layers.LipSwish(), linear[1]]), linear


def _largest_excess(linear, bound):
  """By how much norms exceed what bounds them, as a ratio."""
  return max(operators.true_norm(layer) / (
      layer.certificate().bound if bound == 'estimate' else _COEFF)
             for layer in linear)


def _slow(*case):
  return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize('kind, orders, bound, num_steps', [
    ('conv', None, 'upper', 30),
    _slow('dense', (1, 1, 1), 'upper', 100),
    _slow('dense', (math.inf, 1.5, 2), 'estimate', 100),
    _slow('dense', _LEARNED, 'upper', 100)])
def test_wild_training_through_log_prob_and_apply_alone(
    kind, orders, bound, num_steps):
  """At a large rate: bounds hold, inverses converge, orders move."""
  g, linear = _make_g(kind, orders, bound)
  *_, estimator, x = _CASES[kind]
  event_shape = x.shape[1:]
  size = math.prod(event_shape)
  block = bijectors.ResidualBlock(
      g, event_shape=event_shape, estimator=estimator)
  density = tfd.TransformedDistribution(
      tfd.MultivariateNormalDiag(tf.zeros(size)), tfb.Invert(tfb.Chain([
          tfb.Reshape([size], event_shape_in=event_shape), block])))
  variables = density.trainable_variables
  optimizer = keras.optimizers.Adam(0.3)
  optimizer.build(variables)

  @tf.function(autograph=False)
  def step():
    with tf.GradientTape() as tape:
      loss = -tf.reduce_mean(density.log_prob(x))
    optimizer.apply(tape.gradient(loss, variables), variables)
    return loss

  losses, learned = [], []
  for i in range(num_steps):
    losses.append(float(step()))
    if i in (0, 5, num_steps - 1):
      assert _largest_excess(linear, bound) <= 1.0 + 1e-3, f'step {i}'
    if orders == _LEARNED:
      learned.append([float(order.value()) for order in g.orders])
  assert losses[-1] < losses[0] and np.all(np.isfinite(losses))
  # The test would notice: raw kernels have grown beyond the bound.
  raw = [float(tf.reduce_max(layer.norm())) for layer in linear]
  assert max(raw) > 1.5 * _COEFF
  if learned:
    assert np.all(np.ptp(learned, axis=0) > 0.3)
  if orders is None:
    assert all(
        operators.true_norm(layer) <= layer.certificate(target=1.0).bound < 1.0
        for layer in linear)
  z = density.bijector.inverse(x)
  np.testing.assert_allclose(density.bijector.forward(z), x, atol=1e-4)
