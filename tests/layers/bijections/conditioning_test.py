"""The condition of a chain is that of its parts."""

import pytest

from tests import networks
from tf_resflow import errors
from tf_resflow import layers


def test_a_chain_takes_what_its_parts_take():
  chain = layers.Chain([
      layers.ActNorm(), layers.ConditionalAffine(4),
      layers.ResidualBlock(networks.conditional_g('float32'))])
  assert chain.takes_condition
  assert chain.condition_spec == layers.ConditionSpec((4,))
  assert layers.Split(chain).condition_spec == layers.ConditionSpec((4,))
  plain = layers.Chain([layers.ActNorm()])
  assert plain.condition_spec is None and not plain.takes_condition


def test_refuses_parts_that_differ():
  with pytest.raises(errors.InvalidValueError, match=(
      r'condition=numbers \[B, 4\] \(a\) and numbers \[B, 3\] \(b\): expected '
      'one for all parts of a chain')):
    layers.Chain([layers.ConditionalAffine(4, name='a'),
                  layers.ConditionalAffine(3, name='b')])


def test_refuses_layers_of_a_network_that_differ():
  with pytest.raises(errors.InvalidValueError, match=(
      'condition_size=3 and 4: expected the same for all layers')):
    layers.ResidualBlock(layers.Sequence([
        layers.SpectralDense(3, coeff=0.5), layers.ConditionShift(4),
        layers.ConditionShift(3)]))
