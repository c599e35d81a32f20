"""Lipschitz constants of the blocks of a flow."""

import math

import keras
import pytest

from tests import cases
from tests.layers import operators
from tf_resflow import layers
from tf_resflow import models


@pytest.mark.parametrize('name', ['flow', 'vector_flow'])
def test_lipschitz_bounds(name):
  model = cases.MODELS[name].make()
  bounds = model.lipschitz_bounds()
  assert [b.name for b in bounds] == [
      b.name for b in model.certified_bijections]
  for bound, block in zip(bounds, model.certified_bijections, strict=True):
    assert isinstance(bound, models.BlockBound)
    assert 0.0 < bound.power_iteration <= bound.certificate * (1.0 + 1e-3)
    assert bound.certificate < 1.0
    assert len(bound.methods) == len(block.constrained_layers())
    # The product of the true norms lies below the certificate.
    product = math.prod(
        operators.true_norm(part) if part.num_constrained
        else part.lipschitz_bound for part in block.g.parts)
    assert product <= bound.certificate * (1.0 + 1e-6)
  uncertified = model.lipschitz_bounds(certify=False)
  assert all(b.certificate is None and not b.methods for b in uncertified)
  for a, b in zip(bounds, uncertified, strict=True):
    assert a.power_iteration == pytest.approx(b.power_iteration, rel=1e-5)


def test_an_asserted_bound_is_reported_as_such():
  block = layers.ResidualBlock(keras.layers.Dense(2), lipschitz_bound=0.5)
  flow = models.Flow(block, [2])
  assert flow.lipschitz_bounds() == [
      models.BlockBound(block.name, 0.5, 0.5, 0.5, ('asserted',), 2.0,
                        'assertion')]
