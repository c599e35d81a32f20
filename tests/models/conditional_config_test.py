"""The fields of a condition, and what they do not go with."""

import pytest

from tests import testing
from tf_resflow import models

_LABELS = {'event_size': 3, 'condition_labels': 4}


def test_where_it_enters():
  config = models.VectorFlowConfig(**_LABELS, condition_at=('gates',))
  assert config.is_conditional
  assert config.enters_at('gates') and not config.enters_at('blocks')
  plain = models.VectorFlowConfig(event_size=3)
  assert not plain.is_conditional and not plain.enters_at('blocks')


@pytest.mark.parametrize('values, message', [
    ({**_LABELS, 'condition_size': 2}, 'condition_size=2: expected 0 where'),
    ({**_LABELS, 'condition_at': ('head',)},
     'condition_at=head: expected one of blocks, gates, act_norm'),
    ({**_LABELS, 'condition_at': ()}, 'condition_at=: expected'),
    ({**_LABELS, 'condition_features': 0}, 'condition_features=0: expected'),
    ({**_LABELS, 'condition_at': ('base', 'base')},
     'condition_at=base,base: expected every place once'),
    ({**_LABELS, 'condition_at': ('gates', 'base'), 'block': 'coupling',
      'activation': 'relu'},
     'condition_at=gates,base: expected others than gates with block=coupling'),
    ({'condition_features': 8}, 'condition_features=8: expected its default, '
     '32, without a condition'),
    ({'condition_at': ('base',)}, 'condition_at=base: expected its default'),
    ({'condition_size': 2, 'condition_mean': (0.0,), 'condition_std': (1.0,)},
     'condition_mean=0.0: expected 2 of them'),
    ({'condition_size': 2, 'condition_mean': (0.0, 1.0)},
     'condition_std=: expected as many numbers')])
def test_refusals(values, message):
  testing.check_refusal(
      models.VectorFlowConfig, {'event_size': 3, **values}, message)
