"""Seeds and estimators that bijectors pass to their layers."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tests import networks
from tests import testing
from tf_resflow import bijectors
from tf_resflow import layers
from tf_resflow.bijectors import layer_bijector


def make_block(name='block', seed=None):
  return bijectors.ResidualBlock(
      networks.dense_g('float32'), name=name, seed=seed)


def make_density(*blocks):
  base = tfd.MultivariateNormalDiag(tf.zeros(3))
  return tfd.TransformedDistribution(base, tfb.Invert(tfb.Chain(list(blocks))))


def inputs():
  rng = np.random.default_rng(0)
  return tf.constant(rng.normal(size=[4, 3]), tf.float32)


def log_prob(density, **seeds):
  kwargs = {name: {'seed': seed} for name, seed in seeds.items()}
  return density.log_prob(tf.identity(inputs()), bijector_kwargs=kwargs)


def test_every_block_of_a_chain_has_its_own_seed():
  density = make_density(make_block('a'), make_block('b'))
  base = log_prob(density, a=1, b=2)
  np.testing.assert_array_equal(base, log_prob(density, a=1, b=2))
  for other in ({'a': 1, 'b': 3}, {'a': 3, 'b': 2}):
    assert not np.array_equal(base, log_prob(density, **other))


def test_constructor_seed_fixes_the_draws():
  density = make_density(make_block(seed=3))
  first = log_prob(density)
  np.testing.assert_array_equal(first, log_prob(density))
  np.testing.assert_array_equal(
      first, log_prob(make_density(make_block(seed=3))))
  # A keyword wins.
  assert not np.array_equal(first, log_prob(density, block=4))


def test_settings_of_one_call_and_of_all():
  """Objects or their specs, through a distribution as well."""
  block = make_block()
  x = inputs()
  exact = block.forward_log_det_jacobian(x, estimator='exact')
  np.testing.assert_array_equal(
      exact, block.layer.forward_and_log_det(x, estimator='exact')[1])
  y = block.forward(x)
  np.testing.assert_array_equal(
      block.inverse(y, solver='banach'),
      block.layer.inverse(y, solver='banach'))
  np.testing.assert_allclose(
      block.inverse_log_det_jacobian(y, estimator='exact', solver='banach'),
      -exact, atol=1e-5)
  always = bijectors.LayerBijector(block.layer, [3], estimator='exact')
  for density, kwargs in (
      (make_density(always), {}),
      (make_density(always.copy()), {}),
      (make_density(block), {'block': {'estimator': 'exact'}})):
    np.testing.assert_allclose(
        density.log_prob(tf.identity(x), bijector_kwargs=kwargs),
        density.distribution.log_prob(y) + exact, rtol=1e-5)
  assert not np.array_equal(
      always.forward_log_det_jacobian(x, estimator='training'), exact)


def test_the_certificate_is_that_of_the_one_residual_block():
  block = make_block()
  assert block.certificate() == block.layer.certificate()
  testing.check_refusals(lambda parts: bijectors.LayerBijector(
      layers.SequentialBijection(parts, name='chain'), [3]).certificate(), [
          (parts, 'layer=chain: expected one with one residual block, not '
           f'{count}. Certify each block, or use Flow.lipschitz_bounds()')
          for parts, count in (
              ([layers.ActNorm()], 0), ([block.layer, make_block().layer], 2))])


def test_batch_axes_may_count_as_axes_of_an_event():
  """Log-determinants are then sums over them, as a chain needs them."""
  block = make_block()
  x = tf.reshape(inputs(), [2, 2, 3])
  for one_pass, value in (block.transform, x), (block.invert, block.forward(x)):
    one_by_one = one_pass(tf.identity(value), 1, estimator='exact')[1]
    for event_ndims, axes in (2, (1,)), (3, (0, 1)):
      np.testing.assert_allclose(
          one_pass(tf.identity(value), event_ndims, estimator='exact')[1],
          np.sum(one_by_one, axis=axes), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_random_densities_are_warned_of_where_values_are_compared(caplog):
  """Once, of chains and line searches; neither in training nor of an ELBO."""
  layer_bijector._warn_once.cache_clear()
  random, x = make_density(make_block()), inputs()

  def walk(density):
    tfp.mcmc.sample_chain(
        1, x, kernel=tfp.mcmc.RandomWalkMetropolis(density.log_prob),
        trace_fn=None, seed=0)

  walk(make_density(make_block(seed=1)))
  walk(make_density(make_block().copy(estimator='exact')))
  random.log_prob(x)
  tfp.vi.monte_carlo_variational_loss(
      random.log_prob, random, sample_size=2, seed=0)
  assert not caplog.text
  for _ in range(2):
    walk(random)
  [record] = caplog.records
  assert "Give bijectors estimator='exact', or" in record.getMessage()
  layer_bijector._warn_once.cache_clear()
  tfp.optimizer.lbfgs_minimize(
      lambda x: tfp.math.value_and_gradient(random.log_prob, x), x[0],
      max_iterations=1)
  assert len(caplog.records) == 2
