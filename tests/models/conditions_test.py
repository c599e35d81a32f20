"""Conditions of flows, and where they enter, place by place."""

import pytest

from tests import schemas
from tests import testing
from tf_resflow import layers
from tf_resflow import models

_IMAGE = {
    'image_shape': (4, 4, 1), 'num_levels': 17, 'num_blocks': (1, 1),
    'hidden_channels': 4, 'num_dense_blocks': 1, 'dense_hidden_units': 4,
    'condition_labels': 3}
_PLACES = {
    'blocks': {'block_0_shift', 'block_1_shift', 'block_2_shift'},
    'gates': {'block_0_gate', 'block_1_gate', 'block_2_gate'},
    'act_norm': {'block_0_affine', 'block_1_affine', 'block_2_affine'},
    'linear': {'block_0_conditional_linear', 'block_1_conditional_linear'},
    'base': {'base'}}
_LABELS = {'event_size': 3, 'condition_labels': 4}


def _owners(model):
  """Names of the layers with a matrix for the condition."""
  return {v.path.split('/')[-2] for v in model.trainable_variables
          if v.path.endswith('condition_kernel')}


def test_a_place_has_its_layers_and_no_others():
  (field,) = [f for f in models.ResidualFlowConfig.fields()
              if f.name == 'condition_at']
  found = {}
  for place in field.valid.names():
    model = models.ResidualFlowConfig(condition_at=(place,), **_IMAGE).build()
    found[place] = _owners(model)
    assert model.condition_spec == layers.ConditionSpec((), 3)
  assert found == _PLACES


def test_vectors_pass_a_network_that_standardises():
  model = models.VectorFlowConfig(
      event_size=3, condition_size=2, schema=schemas.make_schema(
          *'xyz', conditions=['a', 'b'], condition_mean=(1.0, 2.0),
          condition_std=(3.0, 4.0)),
      condition_hidden_units=(5,), condition_features=6).build()
  network = model.bijection.condition_network
  assert (network.mean, network.std) == ((1.0, 2.0), (3.0, 4.0))
  assert network.size == 6 and model.schema.condition_names == ('a', 'b')


def test_a_flow_without_a_condition_is_what_it_was():
  plain = {k: v for k, v in _IMAGE.items() if k != 'condition_labels'}
  model = models.ResidualFlowConfig(**plain).build()
  assert isinstance(model.bijection, layers.SequentialBijection)
  assert model.bijection.name == 'bijection' and model.condition_spec is None


@pytest.mark.parametrize('values, message', [
    ({**_LABELS, 'condition_size': 2}, 'condition_size=2 cannot be used'),
    ({**_LABELS, 'condition_at': ('head',)}, 'condition_at=head: expected one'),
    ({**_LABELS, 'condition_at': ()}, 'condition_at=: expected'),
    ({**_LABELS, 'condition_features': 0}, 'condition_features=0: expected'),
    ({'condition_features': 8}, 'condition_features=8 has no effect '
     'without a condition'),
    ({'condition_at': ('base',)}, 'condition_at=base has no effect')])
def test_refused_conditions(values, message):
  testing.check_refusal(
      models.VectorFlowConfig, {'event_size': 3, **values}, message)
