"""VectorFlow: the order of its parts."""

import pytest

from tf_resflow import models


def parts(**fields):
  flow = models.VectorFlowConfig(event_size=3, **fields).build()
  return flow, [type(b).__name__ for b in flow.bijection.leaves()]


@pytest.mark.parametrize('act_norm, expected', [
    (True, ['ActNorm', *['ResidualBlock', 'ActNorm'] * 2]),
    (False, ['ResidualBlock'] * 2)])
def test_order_of_parts(act_norm, expected):
  flow, names = parts(num_blocks=2, hidden_units=(5, 4), act_norm=act_norm)
  assert names == expected
  first, second = flow.certified_bijections
  assert [type(p).__name__ for p in first.g.parts] == [
      'SpectralDense', 'LipSwish', 'SpectralDense', 'LipSwish',
      'SpectralDense']
  assert [type(p).__name__ for p in second.g.parts][0] == 'LipSwish'
  assert [p.units for p in first.constrained_layers()] == [5, 4, 3]


def test_couplings_take_turns():
  flow = models.VectorFlowConfig(
      event_size=4, num_blocks=3, hidden_units=(5,), block='coupling',
      invertible_linear='free').build()
  names = [type(b).__name__ for b in flow.bijection.leaves()]
  assert names == ['ActNorm', *[
      'InvertibleLinear', 'AffineCoupling', 'ActNorm'] * 3]
  assert [b.swap for b in flow.bijection.leaves()
          if hasattr(b, 'swap')] == [False, True, False]


@pytest.mark.parametrize('event_size, expected', [
    (3, [[1, 4], [2, 2]]), (2, [[1, 2], [1, 2]])])
def test_couplings_of_odd_numbers_pass_the_smaller_half_first(
    event_size, expected):
  flow = models.VectorFlowConfig(
      event_size=event_size, num_blocks=2, hidden_units=(5,),
      block='coupling').build()
  kernels = [[v.shape for v in b.network.weights if len(v.shape) == 2]
             for b in flow.bijection.leaves() if hasattr(b, 'swap')]
  sizes = [[shapes[0][0], shapes[-1][-1]] for shapes in kernels]
  assert sizes == expected
