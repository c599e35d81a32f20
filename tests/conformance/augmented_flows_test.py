"""Flows on data and noise: bounds of log-densities; sampling without noise."""

import keras
import numpy as np
import pytest
from scipy import stats
import tensorflow as tf

from tests import cases
from tests import testing
from tests.conformance import subjects
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics

_EXACT = numerics.Exact()
_NOISE = {'uniform': stats.uniform(),
          'gaussian': stats.truncnorm(-4.0, 4.0, 0.5, 0.125)}
_EACH = subjects.each(cases.AUGMENTED_MODELS)


@_EACH
def test_log_prob_is_that_of_the_event_and_the_weight_of_its_draw(subject):
  model, x = subject.of()
  y, log_weight = model.augment(x, seed=3)
  jacobian = testing.full_jacobian(
      tf.function(model.bijection, autograph=False), y)
  expected = (
      stats.norm.logpdf(model.bijection(y)).sum(1) +
      np.linalg.slogdet(jacobian)[1] + log_weight)
  log_prob = model.log_prob(x, seed=3, estimator=_EXACT)
  np.testing.assert_allclose(log_prob, expected, rtol=1e-8)
  # Per dimension of the data.
  assert model.event_size == 16
  assert model.latent_size == np.prod(y.shape[1:])
  np.testing.assert_allclose(
      model.bits_per_dim(x, seed=3, estimator=_EXACT),
      (np.log(17) - expected / 16) / np.log(2), rtol=1e-8)


@_EACH
def test_all_methods_draw_the_same_at_one_seed(subject):
  model, x = subject.of()
  y, log_weight = model.augment(x, seed=3)
  density = model.density(x, seed=3)
  log_prob, z, log_det, *_ = density
  np.testing.assert_array_equal(model.log_prob(x, seed=3), log_prob)
  for value, other in zip(
      (z, log_det), model.forward_and_log_det(x, seed=3), strict=True):
    np.testing.assert_array_equal(value, other)
  np.testing.assert_array_equal(model.transform(x, seed=3).value, z)
  np.testing.assert_allclose(model.encode(x, seed=3), z, atol=1e-12)
  np.testing.assert_allclose(model.bijection(y), z, atol=1e-12)
  np.testing.assert_array_equal(
      log_prob, model.base.log_prob(z) + log_det + log_weight)
  # Noise and log-determinant draw apart from each other.
  of_noise, of_log_det = (numerics.random.fold_in(3, i) for i in range(2))
  np.testing.assert_array_equal(
      model.augmentation.augment(x, seed=of_noise).y, y)
  np.testing.assert_array_equal(
      model.bijection.forward_and_log_det(y, seed=of_log_det)[1], log_det)
  if model.has_classifier:
    logits = model.logits(density.features)
    np.testing.assert_allclose(logits, model.classify(x, seed=3), rtol=1e-9)
    assert np.all(model.classify(x, seed=4) != logits)
  assert np.all(model(x) != model(x))


@_EACH
def test_noise_is_left_out_on_the_way_back(subject):
  model, x = subject.of()
  z = model.encode(x, seed=3)
  np.testing.assert_allclose(model.inverse(z), x, atol=1e-8)
  inverted = model.solve_inverse(z)
  np.testing.assert_allclose(inverted.value, x, atol=1e-8)
  assert len(inverted.solves) == len(model.certified_bijections)
  samples = model.sample(3, seed=1, temperature=0.5)
  assert samples.shape == [3, *model.event_shape]
  np.testing.assert_allclose(samples, model.inverse(
      0.5 * model.draw_latents(3, seed=1)), atol=1e-8)
  with pytest.raises(errors.InvalidValueError, match=r'expected \[B, \d+\]'):
    model.inverse(z[:, :-1])


@_EACH
def test_distributions(subject):
  model, x = subject.of()
  with pytest.raises(errors.InvalidValueError, match=(
      f'^augmentation={model.augmentation.name} cannot be used with '
      r'distribution\(\). Only a bound')):
    model.distribution()
  y, _ = model.augment(x, seed=3)
  joint = model.joint_distribution()
  assert joint.event_shape == y.shape[1:]
  np.testing.assert_allclose(
      joint.log_prob(y, bijector_kwargs={'seed': 5}),
      model.joint_log_prob(y, seed=5), rtol=1e-9)
  assert model.bijector().forward_event_shape(y.shape[1:]) == [
      model.latent_size]


@_EACH
def test_frozen_and_saved_flows_draw_alike(subject, tmp_path):
  model, x = subject.of()
  model.save(tmp_path / 'model.keras')
  for other in (
      model.frozen(), keras.saving.load_model(tmp_path / 'model.keras')):
    np.testing.assert_allclose(
        other.log_prob(x, seed=3), model.log_prob(x, seed=3), rtol=1e-8)
    np.testing.assert_allclose(
        other.sample(2, seed=1), model.sample(2, seed=1), atol=1e-7)
    assert other.is_initialized and other.event_shape == model.event_shape


# A flow of one number and one channel of noise, whose density is known.

_X = 0.7
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(400)
_NODES, _WEIGHTS = (_NODES + 1.0) / 2.0, _WEIGHTS / 2.0


class Shear(layers.Bijection):
  """`z = [x - 2 u, 3 u - 1]`: noise and data depend on each other."""

  def forward_pass(self, x, settings):
    y = tf.stack([x[:, 0] - 2.0 * x[:, 1], 3.0 * x[:, 1] - 1.0], axis=1)
    return layers.PassResult(
        y, tf.fill([tf.shape(x)[0]], tf.constant(np.log(3.0), x.dtype)))


@pytest.mark.parametrize('distribution', _NOISE)
def test_the_bound_lies_below_the_density_by_a_divergence(distribution):
  q = _NOISE[distribution]
  flow = models.Flow(
      Shear(dtype='float64'), [1],
      augmentation=layers.NoiseChannels(1, distribution, dtype='float64'))

  def joint(u):
    return (stats.norm.logpdf(_X - 2.0 * u) + stats.norm.logpdf(3.0 * u - 1.0) +
            np.log(3.0))

  density = _WEIGHTS * q.pdf(_NODES)
  bound = density @ (joint(_NODES) - q.logpdf(_NODES))
  # What Jensen's inequality starts from: p(x, u in [0, 1]).
  log_mass = np.log(_WEIGHTS @ np.exp(joint(_NODES)))
  posterior = joint(_NODES) - log_mass
  gap = density @ (q.logpdf(_NODES) - posterior)
  assert log_mass - bound == pytest.approx(gap, rel=1e-9) and gap > 0.1

  x = tf.fill([20_000, 1], tf.constant(_X, tf.float64))
  log_prob = flow.log_prob(x, seed=1).numpy()
  u = flow.augment(x, seed=1).y[:, 1].numpy()
  np.testing.assert_allclose(log_prob, joint(u) - q.logpdf(u), rtol=1e-10)
  stderr = log_prob.std() / np.sqrt(len(log_prob))
  assert abs(log_prob.mean() - bound) < 4.5 * stderr
  assert log_prob.mean() < log_mass - 0.5 * gap
  # The mean of the ratio, not of its logarithm, is the mass.
  assert np.exp(log_prob).mean() == pytest.approx(np.exp(log_mass), rel=0.03)
