"""Errors of the configurations of flows of blocks."""

import itertools

import pytest

from tests import testing
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.specs import registries

_CLASSES = (models.ResidualFlowConfig, models.VectorFlowConfig)


@pytest.mark.parametrize('values, message', [
    (dict(estimator='autos'), 'estimator=autos: expected one of roulette, adap'
     'tive, fixed, exact, with arguments, or auto'),
    (dict(block='coupling', estimator='fixed:3'),
     'estimator=fixed:3 has no effect'),
    (dict(block='coupling', memory='neumann'),
     'memory=neumann has no effect with block=coupling. Leave it out, or '),
    (dict(block='coupling', lipschitz_coeff=0.5), 'lipschitz_coeff=0.5 has no'),
    (dict(block='residual:3'), 'block=residual:3: expected at most 0 argument'),
    (dict(block='coupling', activation='relu', condition_labels=4,
          condition_at=('gates', 'base')),
     'condition_at=gates,base cannot be used with block=coupling. Leave out'),
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
