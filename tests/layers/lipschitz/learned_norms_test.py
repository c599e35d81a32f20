"""Orders that are trained, and sequences that learn by them.

Oracles: finite differences, the float64 Jacobian, brute force for norms.
"""

import numpy as np
import pytest
import tensorflow as tf

from tests import loops
from tests import networks
from tests.layers import operators
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow.layers.lipschitz import learned_norms


def test_an_order_is_2_at_first():
  order = learned_norms.LearnedOrder(dtype='float64')
  order.build(())
  assert float(order.value()) == pytest.approx(2.0, abs=1e-15)
  assert [v.path for v in order.trainable_variables] == ['learned_order/raw']
  order.raw.assign(0.7)
  assert learned_norms.present_order(order) == float(order.value()) > 2.0
  assert learned_norms.present_order(1.5) == 1.5


_LEARNED = {'domain': 'learned', 'codomain': 'learned'}


def _make_conv_g(bound):
  return layers.LearnedNorms([
      layers.InducedNormConv2D(
          3, 3, coeff=0.9, seed=1, dtype='float64', bound=bound, **_LEARNED),
      layers.ELU(dtype='float64'),
      layers.InducedNormConv2D(
          2, 1, coeff=0.9, seed=5, dtype='float64', bound=bound, **_LEARNED),
      layers.ELU(dtype='float64'),
      layers.InducedNormConv2D(
          2, 3, coeff=0.9, seed=9, dtype='float64', bound=bound, **_LEARNED)])


def _make_block(shape, bound, raws, **kwargs):
  """A block with kernels beyond their bounds and orders away from 2."""
  g = (networks.learned_g('float64', bound) if len(shape) == 1 else
       _make_conv_g(bound))
  block = layers.ResidualBlock(g, **{'estimator': 'exact', **kwargs})
  block.build((None, *shape))
  rng = np.random.default_rng(0)
  for layer in g.constrained_layers():
    layer.kernel.assign(2.0 * rng.normal(size=layer.kernel.shape))
    layer.tolerance, layer.max_power_iterations = 1e-8, 5000
  for order, raw in zip(g.orders, raws, strict=False):
    order.raw.assign(raw)
  return block


def test_orders_are_shared_and_closed():
  block = _make_block((3, 3, 2), 'upper', (0.5, -0.5, 1.0))
  first, second, third = block.constrained_layers()
  assert first.codomain is second.domain
  assert second.codomain is third.domain
  assert third.codomain is first.domain
  assert [o.name for o in block.g.orders] == ['order_0', 'order_1', 'order_2']
  assert block.g.domain is block.g.codomain is first.domain
  raws = [v for v in block.trainable_variables if v.name == 'raw']
  assert [v.value for v in raws] == [0.5, -0.5, 1.0]
  bounds = block.bi_lipschitz_bounds()
  assert bounds.order == float(block.g.orders[0].value()) != 2.0


def test_one_layer_has_one_order():
  g = layers.LearnedNorms([
      layers.InducedNormDense(3, coeff=0.9, dtype='float64', **_LEARNED)])
  g.build((None, 3))
  (layer,) = g.parts
  assert layer.domain is layer.codomain
  layer.kernel.assign(np.random.default_rng(0).normal(size=[3, 3]))
  layer.domain.raw.assign(1.0)
  with tf.GradientTape() as tape:
    value = tf.reduce_sum(g(tf.ones([1, 3], tf.float64)))
  assert tape.gradient(value, layer.domain.raw.value) != 0.0
  assert operators.true_norm(layer) <= 0.9 * (1.0 + 1e-3)


@pytest.mark.parametrize('bound, shape', [
    ('upper', (3,)), ('estimate', (3,)),
    pytest.param('upper', (3, 3, 2), marks=pytest.mark.slow)])
def test_gradients_of_orders_are_finite_differences(bound, shape):
  """Gradients of values and exact log-determinants of a block."""
  raws = (0.6, -0.5, 0.2)
  block = _make_block(shape, bound, raws)
  x = tf.constant(np.random.default_rng(1).normal(size=[4, *shape]))
  weights = np.random.default_rng(2).normal(size=[4, *shape])

  def value():
    y, log_det = block.forward_and_log_det(x)
    return tf.reduce_sum(weights * y) + tf.reduce_sum(log_det * [1, -2, 3, 0.5])

  variables = [order.raw for order in block.g.orders]
  with tf.GradientTape() as tape:
    total = value()
  gradients = tape.gradient(total, [v.value for v in variables])
  for variable, gradient, raw in zip(variables, gradients, raws, strict=False):
    variable.assign(raw + 1e-5)
    above = value()
    variable.assign(raw - 1e-5)
    below = value()
    variable.assign(raw)
    assert float(gradient) == pytest.approx(
        float(above - below) / 2e-5, rel=1e-4, abs=1e-7)
    assert abs(gradient) > 1e-4


@loops.each([(-50.0, 'upper'), (50.0, 'estimate')])
def test_extreme_orders_keep_everything_finite(raw, bound):
  block = layers.ResidualBlock(
      networks.learned_g('float32', bound), estimator='exact')
  block.build((None, 3))
  for layer in block.constrained_layers():
    layer.kernel.assign(np.random.default_rng(0).normal(
        size=layer.kernel.shape))
  for order in block.g.orders:
    order.raw.assign(raw)
  x = tf.constant(np.random.default_rng(1).normal(size=[4, 3]), tf.float32)
  with tf.GradientTape() as tape:
    y, log_det = block.forward_and_log_det(x)
    total = tf.reduce_sum(y) + tf.reduce_sum(log_det)
  gradients = tape.gradient(total, [v.value for v in block.trainable_variables])
  assert all(np.all(np.isfinite(g)) for g in gradients)
  np.testing.assert_allclose(block.inverse(y), x, atol=1e-4)


@loops.each([
    (lambda: layers.LearnedNorms([layers.SpectralDense(3)]),
     'domain=2.0: expected learned for every linear layer of a LearnedNorms. '
     'Set domain and codomain of spectral_dense'),
    (lambda: layers.InducedNormDense(3, domain='learned'),
     r'domain=learned: expected an order in \[1, inf\], or learned for both'),
    (lambda: layers.InducedNormDense(3, **_LEARNED)(tf.ones([1, 3])),
     'domain=learned requires layers.LearnedNorms. Put induced_norm_dense'),
    # Each is closed, and nothing says that their orders agree.
    (lambda: layers.LipschitzSequential([
        layers.LearnedNorms([layers.InducedNormDense(3, **_LEARNED)])
        for _ in range(2)]), 'domain=.*: expected .*, the codomain of the la')])
def test_refuses(make_fn, message):
  with pytest.raises(errors.InvalidValueError, match=message):
    make_fn()
