"""What configurations of all flows of blocks refuse."""

import pytest

from tests import testing
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.configuration import registries

_BLOCK_ERRORS = [
    (dict(estimator='autos'), 'estimator=autos: expected one of roulette, adap'
     'tive, fixed, exact, with arguments, or auto'),
    (dict(block='coupling', estimator='fixed:3'),
     'estimator=fixed:3: expected its default, '),
    (dict(block='coupling', memory='neumann'), 'memory=neumann: expected its '),
    (dict(block='coupling', lipschitz_coeff=0.5), 'lipschitz_coeff=0.5: expec'),
]


@pytest.mark.parametrize('config_class', [
    models.ResidualFlowConfig, models.VectorFlowConfig])
@pytest.mark.parametrize('values, message', _BLOCK_ERRORS)
def test_errors(values, message, config_class):
  testing.check_refusal(config_class, values, message)


@pytest.mark.parametrize('config_class', [
    models.ResidualFlowConfig, models.VectorFlowConfig])
def test_defaults_go_with_every_block(config_class):
  for block in registries.BLOCKS.names():
    config = config_class(block=block)
    assert config.unused_fields() == registries.UNUSED_FIELDS.get(block, ())


def test_the_message_of_an_unused_field_is_whole():
  testing.check_refusal(
      models.ResidualFlowConfig, dict(block='coupling', estimator='fixed:3'),
      'estimator=fixed:3: expected its default, roulette:poisson:2,exact=2, '
      'with block=coupling. It makes no difference to such blocks.')


@pytest.mark.parametrize('config, spec', [
    (models.ResidualFlowConfig(), 'roulette:poisson:2,exact=2'),
    (models.ResidualFlowConfig(estimator='auto'), 'roulette:poisson:2,exact=2'),
    (models.ResidualFlowConfig(estimator='fixed:4'), 'fixed:4'),
    (models.ResidualFlowConfig(block='coupling'), None),
    (models.VectorFlowConfig(block='coupling'), None),
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
