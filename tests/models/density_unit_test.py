"""Costs in bits/dim or nats, there and back."""

import math

import numpy as np
import pytest

from tf_resflow import errors
from tf_resflow.models import density_unit


def _unit(num_levels):
  unit = density_unit.DensityUnit()
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


@pytest.mark.parametrize('num_levels', [None, 2, 256])
def test_there_and_back(num_levels):
  log_prob = np.linspace(-9.0, 40.0, 7)
  unit = _unit(num_levels)
  np.testing.assert_allclose(
      unit.log_prob_of(unit.in_unit(log_prob)), log_prob, atol=1e-12)


def test_no_bits_of_real_numbers():
  with pytest.raises(errors.InvalidValueError, match='defined for integers'):
    _unit(None).bits_per_dim_of(0.0)
