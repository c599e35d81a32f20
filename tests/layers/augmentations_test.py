"""The contract of augmentations, on one that a flow could learn; noise."""

import keras
import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import cases
from tests import loops
from tests import networks
from tests import testing
from tf_resflow import errors
from tf_resflow import evaluation
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow import serving


@keras.saving.register_keras_serializable('tf_resflow_tests')
class ScaledDequantization(layers.Augmentation):
  """`y = x + u`, `u` with density `a u^(a - 1)` on [0, 1), `a` learned."""

  def build(self, input_shape):
    self.log_a = self.add_weight(name='log_a', shape=(), initializer='zeros')

  def augment(self, x, condition=None, *, seed=None):
    a = tf.exp(self.log_a.value)
    u = numerics.random.uniform(tf.shape(x), seed, x.dtype)**(1.0 / a)
    log_q = tf.math.log(a) + (a - 1.0) * tf.math.log(u)
    return layers.Augmented(x + u, -tf.reduce_sum(log_q, axis=1))

  def project(self, y):
    return tf.floor(y)


def test_no_point_of_a_cell_is_0():
  """Which has no logarithm; among so many draws some are."""
  cells = layers.UniformDequantization([0])
  assert np.all(cells.augment(tf.zeros([2**20, 1]), seed=0).y > 0.0)


def make_flow():
  augmentation = ScaledDequantization(dtype='float64')
  augmentation.build((None, 1))
  return models.Flow(
      layers.Standardize([0.5], [1.0], dtype='float64'), [1],
      augmentation=augmentation, dtype='float64')


def test_a_learned_distribution_raises_the_bound():
  """Dequantised integers: P(0), the normal mass of [0, 1)."""
  flow = make_flow()
  x = tf.zeros([4000, 1], tf.float64)
  # int_0^1 N(y; 1/2, 1) dy.
  log_mass = np.log(0.38292492254802624)

  def bound(seed):
    return tf.reduce_mean(flow.log_prob(x, seed=seed))

  augmentation = flow.augmentation
  assert augmentation.log_a.value.ref() in {
      v.value.ref() for v in flow.trainable_variables}
  assert any('augmentation' in name for name in flow._trackable_children())
  with tf.GradientTape() as tape:
    value = bound(1)
  gradient = tape.gradient(value, augmentation.log_a.value)
  # The same draws on both sides: the derivative of the estimate itself.
  values = []
  for log_a in (1e-5, -1e-5, 1.0):
    augmentation.log_a.assign(log_a)
    values.append(float(bound(1)))
  np.testing.assert_allclose(
      gradient, (values[0] - values[1]) / 2e-5, rtol=1e-6)
  # Uniform noise is nearly the posterior; others lower the bound more.
  assert log_mass - 0.02 < value < log_mass
  assert values[2] < value - 0.1


def test_layers_of_an_augmentation_are_those_of_its_flow(monkeypatch):
  """Certified, with saved norms and reached by the estimator."""
  case = cases.AUGMENTATIONS['noise_learned']
  augmentation, x = case.make('float64'), case.inputs('float64')
  block = layers.ResidualBlock(layers.LipschitzSequential([
      layers.SpectralDense(4, dtype='float64'), layers.Tanh(dtype='float64'),
      layers.SpectralDense(5, dtype='float64')]), 'exact')
  flow = models.Flow(block, [3], augmentation=augmentation)
  assert len(flow.constrained_layers) == 2 + 4
  assert [e.spec() for e in flow.estimators()] == [
      'exact', 'fixed:2', 'fixed:2']
  assert flow.is_biased
  flow.save_norms()
  assert [int(layer.save_norms()) for layer in flow.constrained_layers] == [
      0] * 6
  bounds = flow.lipschitz_bounds()
  assert bounds[2].name == f'{augmentation.name}/block_1'
  for bound in bounds:
    assert 0.0 < bound.power_iteration <= 1.001 * bound.certificate < 1.0
  # u = f(e): the density of u is that of e over |det du/de|.
  y, log_weight = flow.augment(x, seed=1, estimator='exact')
  f = augmentation.q.bijection
  e = f.inverse(y[:, 3:], x)
  np.testing.assert_allclose(
      log_weight, np.linalg.slogdet(testing.full_jacobian(
          lambda e: f(e, x), e))[1] - stats.norm.logpdf(e).sum(axis=1),
      atol=1e-6)
  assert np.all(flow.augment(x, seed=1).log_weight != log_weight)
  np.testing.assert_allclose(
      flow.frozen().log_prob(x, seed=1), flow.log_prob(x, seed=1), atol=1e-9)
  # What evaluation and served flows are given reaches it, too.
  augment, given = networks.LearnedNoise.augment, []

  def noted(self, *args, estimator, **kwargs):
    given.append(estimator.spec())
    return augment(self, *args, estimator=estimator, **kwargs)

  monkeypatch.setattr(networks.LearnedNoise, 'augment', noted)
  evaluation.evaluate_inputs(flow, x.numpy(), estimator='fixed:5')
  serving.VectorSignatures(flow, 'fixed:6').log_prob(x, seed=[0, 1])
  assert list(dict.fromkeys(given)) == ['fixed:5', 'fixed:6']


def test_a_frozen_augmentation_keeps_its_weights():
  flow = make_flow()
  x = tf.zeros([3, 1], tf.float64)
  frozen = flow.frozen()
  before = frozen.log_prob(x, seed=1)
  flow.augmentation.log_a.assign(1.0)
  np.testing.assert_array_equal(frozen.log_prob(x, seed=1), before)
  assert np.all(flow.log_prob(x, seed=1) != before)
  np.testing.assert_array_equal(frozen.inverse(frozen.encode(x, seed=1)), x)


@loops.each([
    ('uniform', stats.uniform()),
    ('gaussian', stats.truncnorm(-4.0, 4.0, 0.5, 0.125))])
def test_noise_stands_behind_the_data(distribution, reference):
  x = tf.random.stateless_normal([3, 2, 4, 2], [0, 1], dtype=tf.float64)
  noise = layers.NoiseChannels(3, distribution, dtype='float64')
  y, log_weight = noise.augment(x, seed=5)
  assert y.shape == [3, 2, 4, 5]
  np.testing.assert_array_equal(y[..., :2], x)
  u = y[..., 2:].numpy()
  assert len(np.unique(u)) == u.size
  np.testing.assert_allclose(
      log_weight, -reference.logpdf(u).sum((1, 2, 3)), rtol=1e-12, atol=1e-12)


@loops.each([0, -1, 1.5, '2'])
def test_refuses_numbers_of_channels(num_channels):
  with pytest.raises(errors.InvalidValueError, match=(
      f'^num_channels={num_channels}: expected an integer >= 1')):
    layers.NoiseChannels(num_channels)


def test_rows_without_density_leave_gradients_finite():
  cells = layers.UniformDequantization([0])
  scale = tf.Variable(2.0)
  with tf.GradientTape() as tape:
    log_prob = cells.averaged(
        tf.constant([[1.0], [-3.0]]), is_random=False,
        log_prob_fn=lambda y, _: tf.where(
            y[:, 0] > 0.0, -scale * y[:, 0], tf.constant(-np.inf)))
    loss = tf.reduce_sum(tf.where(
        tf.math.is_finite(log_prob), log_prob, 0.0))
  assert log_prob[1] == -np.inf and np.isfinite(tape.gradient(loss, scale))


def test_log_densities_of_grids_may_be_less_exact_than_rows():
  grid = layers.UniformDequantization([0], steps=[0.5], dtype='float64')
  found = grid.averaged(
      tf.constant([[1.5], [2.0]], tf.float64), is_random=False,
      log_prob_fn=lambda y, condition: tf.zeros(tf.shape(y)[:1], tf.float32))
  np.testing.assert_allclose(found, -np.log(0.5), rtol=1e-6)
