"""Densities of flows: normalisation, bits per dimension, samples, bounds."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import cases
from tests.layers import operators
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics


def make_identity_flow(num_levels=256):
  """An image flow that only standardises."""
  flow = models.ResidualFlow(models.ResidualFlowConfig(
      image_shape=(2, 2, 1), num_levels=num_levels, num_blocks=(1,),
      hidden_channels=2, num_dense_blocks=0, act_norm=False,
      preprocessing='standardize', mean=(0.5,), std=(0.25,)))
  for layer in flow.spectral_layers:
    layer.kernel.assign(tf.zeros_like(layer.kernel.value))
    layer.bias.assign(tf.zeros_like(layer.bias.value))
  return flow


def test_density_integrates_to_one():
  """On a grid, with exact log-determinants; a wrong sign would show."""
  flow = models.VectorFlow(
      models.VectorFlowConfig(event_size=2, num_blocks=3, hidden_units=(8,)),
      dtype='float64')
  rng = np.random.default_rng(0)
  flow.log_prob(tf.constant(rng.normal(size=[64, 2])))
  for layer in flow.spectral_layers:
    layer.kernel.assign(3.0 * layer.kernel.value)
  axis = np.linspace(-9.0, 9.0, 121)
  grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape([-1, 2])
  cell = (axis[1] - axis[0])**2
  log_prob = tf.function(
      lambda x: flow.log_prob(x, log_det=numerics.Exact()))
  log_density = log_prob(tf.constant(grid))
  assert abs(cell * np.exp(log_density).sum() - 1.0) < 1e-4
  z, log_det = flow.forward_and_log_det(
      tf.constant(grid), log_det=numerics.Exact())
  wrong = -0.5 * np.sum(z**2, axis=1) - np.log(2 * np.pi) - log_det
  assert abs(cell * np.exp(wrong).sum() - 1.0) > 1e-2


@pytest.mark.parametrize('num_levels', [17, 256])
def test_bits_per_dim_of_a_gaussian(num_levels):
  """X/n ~ N(0.5, 0.25^2) per pixel: -log2(p(x) / n), in closed form."""
  flow = make_identity_flow(num_levels)
  x = np.random.default_rng(0).uniform(size=[5, 2, 2, 1])
  log_density = (-0.5 * ((x - 0.5) / 0.25)**2 - np.log(0.25) -
                 0.5 * np.log(2 * np.pi))
  expected = np.mean(math.log2(num_levels) - log_density / np.log(2.0),
                     axis=(1, 2, 3))
  bits = flow.bits_per_dim(tf.constant(x, tf.float32), seed=0)
  np.testing.assert_allclose(bits, expected, rtol=1e-5)


def test_bits_per_dim_need_levels():
  with pytest.raises(ValueError, match='no num_levels; use log_prob'):
    cases.MODELS['vector_flow'].make().bits_per_dim(tf.zeros([1, 3]))


@pytest.mark.parametrize('name', ['flow_factor_out', 'vector_flow'])
def test_distribution_agrees_with_the_model(name):
  case = cases.MODELS[name]
  model = case.make()
  x = case.inputs()
  model.log_prob(x)
  density = model.distribution()
  assert density.event_shape == case.event_shape
  np.testing.assert_allclose(
      density.log_prob(x, bijector_kwargs={'seed': 3}),
      model.log_prob(x, seed=3), rtol=1e-5)
  assert len(density.trainable_variables) == len(model.trainable_variables)


@pytest.mark.parametrize('name', ['flow_squeeze_first', 'vector_flow'])
def test_samples(name):
  case = cases.MODELS[name]
  model = case.make()
  model.log_prob(case.inputs())
  samples = model.sample(3, seed=1)
  assert samples.shape == (3, *case.event_shape)
  np.testing.assert_array_equal(samples, model.sample(3, seed=1))
  assert not np.array_equal(samples, model.sample(3, seed=2))
  assert not np.array_equal(model.sample(3), model.sample(3))
  z, _ = model.forward_and_log_det(tf.identity(samples), seed=0)
  cold = model.sample(3, seed=1, temperature=0.5)
  cold_z, _ = model.forward_and_log_det(tf.identity(cold), seed=0)
  np.testing.assert_allclose(cold_z, 0.5 * z, atol=1e-4)
  # Zero temperature is the mode of the base distribution.
  mode = model.sample(2, temperature=0.0)
  np.testing.assert_array_equal(mode[0], mode[1])


def test_samples_follow_the_density():
  """Mean and spread of the flow that only standardises."""
  samples = make_identity_flow().sample(4000, seed=0)
  np.testing.assert_allclose(np.mean(samples), 0.5, atol=0.01)
  np.testing.assert_allclose(np.std(samples), 0.25, atol=0.005)


def test_sampling_with_another_solver():
  case = cases.MODELS['vector_flow']
  model = case.make()
  loose = model.sample(3, seed=1, solver=numerics.Banach(atol=1e-3))
  np.testing.assert_allclose(loose, model.sample(3, seed=1), atol=0.1)
  with pytest.raises(tf.errors.InvalidArgumentError, match='block_'):
    model.sample(3, seed=1, solver=numerics.Banach(max_steps=1))


def test_every_block_draws_from_its_own_seed():
  """One draw for the whole flow would give equal blocks equal estimates."""
  flow = models.VectorFlow(models.VectorFlowConfig(
      event_size=3, num_blocks=3, hidden_units=(4,), act_norm=False))
  drawn = []
  for block in flow.residual_blocks:
    original = block.forward_and_log_det

    def record(x, seed, log_det, original=original):
      drawn.append(tuple(seed.numpy()))
      return original(x, seed=seed, log_det=log_det)

    block.forward_and_log_det = record
  flow.log_prob(tf.ones([2, 3]), seed=0)
  assert len(set(drawn)) == 3


@pytest.mark.parametrize('name', ['flow', 'flow_elu', 'vector_flow'])
def test_lipschitz_bounds(name):
  model = cases.MODELS[name].make()
  bounds = model.lipschitz_bounds()
  assert [b.name for b in bounds] == [b.name for b in model.residual_blocks]
  for bound, block in zip(bounds, model.residual_blocks, strict=True):
    assert isinstance(bound, models.BlockBound)
    assert 0.0 < bound.power_iteration <= bound.certificate * (1.0 + 1e-3)
    assert bound.certificate < 1.0
    linear = [p for p in block.g.layers if isinstance(p, layers.SpectralLayer)]
    assert len(bound.methods) == len(linear)
    # The product of the true norms lies below the certificate.
    shape = block.g.input_shape[1:]
    product = 1.0
    for part in block.g.layers:
      if isinstance(part, layers.SpectralLayer):
        product *= operators.true_norm(part, shape)
      else:
        product *= layers.known_bound(part)
      shape = tuple(part.compute_output_shape((None, *shape))[1:])
    assert product <= bound.certificate * (1.0 + 1e-6)
  uncertified = model.lipschitz_bounds(certify=False)
  assert all(b.certificate is None and not b.methods for b in uncertified)
  for a, b in zip(bounds, uncertified, strict=True):
    assert a.power_iteration == pytest.approx(b.power_iteration, rel=1e-5)


def test_an_asserted_bound_is_reported_as_such():
  block = layers.ResidualBlock(keras.layers.Dense(2), lipschitz_bound=0.5)

  class OneBlock(models.Flow):

    @property
    def invertible_layers(self):
      return [block]

  assert OneBlock((2,)).lipschitz_bounds() == [
      models.BlockBound(block.name, 0.5, 0.5, ('asserted',))]


def test_saving_singular_vectors_changes_no_result():
  case = cases.MODELS['flow']
  model = case.make()
  x = case.inputs()
  before = model.log_prob(x, seed=0), model.log_prob(x, seed=0)
  model.save_singular_vectors()
  np.testing.assert_allclose(
      model.log_prob(x, seed=0), before[1], rtol=1e-3)
  for layer in model.spectral_layers:
    assert layer.save_singular_vectors().num_steps == 0
