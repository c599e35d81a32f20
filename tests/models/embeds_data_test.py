"""Data without an embedding and with one; costs in bits/dim and nats."""

import math

import numpy as np

from tests import cases
from tests import splits
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.models import embeds_data


def make_flow(embedding=None):
  return models.Flow(
      layers.Chain([layers.ActNorm(), layers.Flatten()]), (2, 2, 1),
      embedding=embedding)


def test_flows_without_an_embedding_have_nothing_of_it():
  """Their checkpoints hold what those of other versions do."""
  model = cases.MODELS['flow'].make()
  assert not model.embedding.is_random
  assert model.latent_size == model.event_size == 16
  assert not any('embedding' in name for name in model._trackable_children())
  x = cases.MODELS['flow'].inputs()
  y, log_weight = model.embed(x, seed=1)
  np.testing.assert_array_equal(y, x)
  np.testing.assert_array_equal(log_weight, np.zeros(4))
  assert model._seeds(1) == (None, 1)


def _unit(num_levels):
  unit = embeds_data.EmbedsData()
  unit.event_size, unit.num_levels = 6, num_levels
  return unit


def test_a_uniform_density_costs_all_its_bits():
  assert _unit(32).unit == 'bits_per_dim'
  np.testing.assert_allclose(_unit(32).in_unit(np.zeros([3])), 5.0)
  # Twice the density on the cube, one bit less for all six numbers.
  np.testing.assert_allclose(
      _unit(32).in_unit(math.log(2.0)), 5.0 - 1.0 / 6.0)


def test_nats_of_real_numbers():
  assert _unit(None).unit == 'nats'
  assert _unit(None).in_unit(2.5) == -2.5


def test_there_and_back():
  log_prob = np.linspace(-9.0, 40.0, 7)
  for unit in map(_unit, (None, 2, 256)):
    np.testing.assert_allclose(
        unit.log_prob_of(unit.in_unit(log_prob)), log_prob, atol=1e-12)
  assert 'defined for integers' in splits.refusal(
      _unit(None).bits_per_dim_of, 0.0)
