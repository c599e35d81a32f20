"""What configurations of all flows of blocks refuse."""

import itertools

import pytest

from tests import testing
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.specs import registries

_CLASSES = (models.ResidualFlowConfig, models.VectorFlowConfig)
_LABELS = {'event_size': 3, 'condition_labels': 4}


@pytest.mark.parametrize('values, message', [
    (dict(estimator='autos'), 'estimator=autos: expected one of roulette, adap'
     'tive, fixed, exact, with arguments, or auto'),
    (dict(block='coupling', estimator='fixed:3'),
     'estimator=fixed:3: expected its default, '),
    (dict(block='coupling', memory='neumann'),
     'memory=neumann: expected its default, recompute, with block=coupling. It '
     'makes no difference to such blocks.'),
    (dict(block='coupling', lipschitz_coeff=0.5), 'lipschitz_coeff=0.5: expec'),
    (dict(block='residual:3'),
     'block=residual:3: expected at most 0 arguments of residual'),
])
def test_errors(values, message):
  for config_class in _CLASSES:
    testing.check_refusal(config_class, values, message)


def test_defaults_go_with_every_block():
  for config_class, block in itertools.product(
      _CLASSES, registries.BLOCKS.names()):
    assert config_class(block=block).block_type == models.BlockType.of(block)


@pytest.mark.parametrize('config, spec', [
    (models.ResidualFlowConfig(), 'roulette:poisson:2,exact=2'),
    (models.ResidualFlowConfig(estimator='auto'), 'roulette:poisson:2,exact=2'),
    (models.ResidualFlowConfig(estimator='fixed:4'), 'fixed:4'),
    (models.ResidualFlowConfig(block='coupling'), None),
    (models.VectorFlowConfig(block='coupling'), None),
    (models.VectorFlowConfig(block='coupling', estimator='exact'), None),
    (models.VectorFlowConfig(event_size=1), 'exact'),
    (models.VectorFlowConfig(event_size=2), 'exact'),
    (models.VectorFlowConfig(event_size=3), 'roulette:poisson:2,exact=2'),
    (models.VectorFlowConfig(estimator='adaptive:0.1'), 'adaptive:0.1')])
def test_the_estimator_of_training(config, spec):
  assert config.training_estimator() == spec
  if isinstance(config, models.VectorFlowConfig):
    assert set(config.build().bijection.estimators()) == (
        {numerics.Estimator.get(spec)} if spec else set())


def test_lists_of_names_are_parts_of_their_registries():
  assert set(registries.AGREEING_MEMORY_MODES) < set(
      registries.MEMORY_MODES.names())
  assert set(registries.ENDLESS_SCHEDULES) < set(registries.SCHEDULES.names())


def test_where_a_condition_enters():
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
def test_refused_conditions(values, message):
  testing.check_refusal(
      models.VectorFlowConfig, {'event_size': 3, **values}, message)
