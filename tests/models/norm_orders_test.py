"""Orders of norms as flags list them."""

import math

import pytest

from tf_resflow import errors
from tf_resflow import models
from tf_resflow.models import norm_orders


@pytest.mark.parametrize('norms, expected', [
    (('2',), [(2.0, 2.0)] * 3), (('inf',), [(math.inf, math.inf)] * 3),
    (('inf', '1.5', '2', '1'), [(math.inf, 1.5), (1.5, 2.0), (2.0, 1.0)]),
    (('2', '2.0', '2', '2'), [(2.0, 2.0)] * 3),
    (('learned',), [('learned', 'learned')] * 3)])
def test_every_layer_goes_from_one_order_to_the_next(norms, expected):
  norm_orders.check(norms, uncertified=False)
  norm_orders.check_length(norms, 3, 'blocks')
  assert [norm_orders.of_layer(norms, i) for i in range(3)] == expected
  assert norm_orders.is_spectral(norms) == (expected == [(2.0, 2.0)] * 3)


@pytest.mark.parametrize('norms, message', [
    (('two',), 'norms=two: expected orders in'),
    (('0.5',), 'norms=0.5: expected orders in'),
    (('nan',), 'norms=nan: expected orders in'),
    (('learned', '2'), 'norms=learned,2: expected orders in'),
    (('1', '2', '2', 'inf'), 'norms=1,2,2,inf: expected a last order that is '
     'at most the first, 1. Otherwise'),
    (('2', '2'), 'norms=2,2: expected one order, or 3: one more than blocks')])
def test_refuses(norms, message):
  with pytest.raises(errors.InvalidValueError, match=message):
    models.VectorFlowConfig(hidden_units=(4,), norms=norms)


def test_dense_and_convolutional_blocks_share_a_list():
  fields = {'norms': ('inf', '2', '2', 'inf'), 'num_blocks': (1,),
            'image_shape': (4, 4, 1)}
  models.ResidualFlowConfig(**fields)
  for change in ({'num_dense_hidden_layers': 1}, {'kernel_sizes': (3, 3)}):
    with pytest.raises(errors.InvalidValueError, match='norms=inf,2,2,inf: '):
      models.ResidualFlowConfig(**fields, **change)
  models.ResidualFlowConfig(
      **fields, num_dense_blocks=0, num_dense_hidden_layers=1)
  models.ResidualFlowConfig(**fields, fully_connected=True, kernel_sizes=(3, 3))
