"""Base distributions against closed forms, integrals and moments."""

import numpy as np
import pytest
from scipy import stats
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tests import splits
from tf_resflow import layers

_WEIGHTS = np.array([0.5, 0.0, 0.3, 0.2])


def make_mixture(size, dtype='float64'):
  """Returns a mixture of three components of four, and their laws."""
  rng = np.random.default_rng(size)
  base = layers.GaussianMixture(len(_WEIGHTS), dtype=dtype)
  base.build((None, size))
  means = rng.normal(scale=2.0, size=[len(_WEIGHTS), size])
  factors = np.triu(rng.normal(size=[len(_WEIGHTS), size, size]))
  i = np.arange(size)
  factors[:, i, i] = np.exp(0.4 * factors[:, i, i])
  base.set_weights([_WEIGHTS, means, factors])
  return base, [stats.multivariate_normal(m, np.linalg.inv(p @ p.T))
                for m, p in zip(means, factors, strict=True)]


def _closed_form(laws, z):
  return np.log(sum(w * law.pdf(z)
                    for w, law in zip(_WEIGHTS, laws, strict=True)))


@pytest.mark.parametrize('dtype, rtol', [('float64', 1e-10), ('float32', 2e-5)])
def test_the_density_of_a_mixture(dtype, rtol):
  base, laws = make_mixture(3, dtype)
  z = np.random.default_rng(0).normal(scale=2.0, size=[50, 3]).astype(dtype)
  expected = _closed_form(laws, z)
  np.testing.assert_allclose(base(tf.constant(z)), expected, rtol=rtol)
  np.testing.assert_allclose(
      base.distribution().log_prob(z), expected, rtol=rtol)
  far = tf.constant([[1e30, 0.0, 0.0]], dtype)
  assert base.log_prob(far) < -1e30
  assert splits.refusal(layers.GaussianMixture, 0).startswith(
      'num_components=0: expected a number >= 1')


@pytest.mark.parametrize('size', [1, 2])
def test_the_density_of_a_mixture_integrates_to_one(size):
  base, _ = make_mixture(size)
  axis = np.linspace(-30.0, 30.0, 1201)
  grid = np.stack(np.meshgrid(*[axis] * size), axis=-1).reshape([-1, size])
  total = np.exp(base.log_prob(tf.constant(grid))).sum()
  assert total * (axis[1] - axis[0])**size == pytest.approx(1.0, abs=1e-4)


def _draw(base, num, temperature=1.0):
  return base.draw(tf.range(num), tf.constant([0, 3]), temperature).numpy()


def test_draws_of_a_mixture():
  """Their moments are those of the law; so are TFP's."""
  base, laws = make_mixture(2)
  mean = sum(w * law.mean for w, law in zip(_WEIGHTS, laws, strict=True))
  covariance = sum(
      w * (law.cov + np.outer(law.mean - mean, law.mean - mean))
      for w, law in zip(_WEIGHTS, laws, strict=True))
  for draws in _draw(base, 20_000), base.distribution().sample(20_000, seed=1):
    errors = 5.5 * np.sqrt(np.diag(covariance) / 20_000)
    assert np.all(np.abs(np.mean(draws, axis=0) - mean) < errors)
    np.testing.assert_allclose(
        np.cov(np.transpose(draws)), covariance, rtol=0.1, atol=0.1)


def test_temperatures_scale_the_components_of_a_mixture():
  base, laws = make_mixture(2)
  centres, draws, warm = (_draw(base, 5000, t) for t in (0.0, 1.0, 2.0))
  found, counts = np.unique(centres, axis=0, return_counts=True)
  used = [i for i in np.argsort([law.mean[0] for law in laws]) if _WEIGHTS[i]]
  np.testing.assert_allclose(found, [laws[i].mean for i in used])
  np.testing.assert_allclose(counts / 5000, _WEIGHTS[used], atol=0.04)
  np.testing.assert_allclose(warm - centres, 2.0 * (draws - centres))


def test_a_mixture_begins_as_a_standard_normal():
  normal, mixture = layers.StandardNormal(), layers.GaussianMixture()
  z = tf.random.stateless_normal([5, 3], [0, 1])
  np.testing.assert_allclose(mixture(z), normal(z), rtol=1e-5)
  np.testing.assert_allclose(
      normal(z), normal.distribution().log_prob(z), rtol=1e-5)
  np.testing.assert_array_equal(
      _draw(normal, 5, 0.5), 0.5 * _draw(normal, 5))


def test_a_mixture_is_fitted():
  rng = np.random.default_rng(0)
  z = rng.normal(size=[400, 2]) + 9.0 * rng.integers(2, size=[400, 1])
  base = layers.GaussianMixture(3)
  base.build((None, 2))
  base.fit(z)
  assert base.component_weights.numpy().sum() == pytest.approx(1.0)
  entropy = np.log(2.0) + np.log(2.0 * np.pi * np.e)
  assert -np.mean(base(tf.constant(z, tf.float32))) == pytest.approx(
      entropy, abs=0.1)
  assert not base.trainable_variables


class Laplace(layers.BaseDistribution):
  """What a subclass has to define."""

  def distribution(self):
    ones = tf.ones(self.size, self.compute_dtype)
    return tfd.Independent(tfd.Laplace(3.0 * ones, ones), 1)


def test_a_distribution_suffices():
  """Draws depend on their numbers; temperatures scale about the mean."""
  base = Laplace()
  base.build((None, 2))
  z = tf.constant([[1.0, 5.0], [3.0, 3.5]])
  np.testing.assert_allclose(base(z), -np.log(4.0) - [4.0, 0.5], rtol=1e-5)
  draws = _draw(base, 2000)
  assert np.mean(draws) == pytest.approx(3.0, abs=0.13)
  assert np.std(draws) == pytest.approx(2.0**0.5, rel=0.1)
  np.testing.assert_array_equal(_draw(base, 3), draws[:3])
  np.testing.assert_allclose(
      _draw(base, 3, 0.5), 1.5 + 0.5 * draws[:3], rtol=1e-5)
