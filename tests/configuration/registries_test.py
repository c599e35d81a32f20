"""Every name stands for what is there, and for a kind of its registry."""

import pytest

from tf_resflow import datasets
from tf_resflow import layers
from tf_resflow import numerics
from tf_resflow.configuration import model_config
from tf_resflow.configuration import registries
from tf_resflow.configuration import registry
from tf_resflow.configuration import spec
from tf_resflow.layers.bijections import invertible_matrix
from tf_resflow.layers.bijections import masks
from tf_resflow.models import block_flow_config
from tf_resflow.training import objectives

_TABLES = {name: table for name, table in vars(registries).items()
           if isinstance(table, registry.Registry)}


def test_kinds_of_tables_are_their_names_in_messages():
  kinds = [table.kind for table in _TABLES.values()]
  assert len(set(kinds)) == len(kinds)
  for name, table in _TABLES.items():
    with pytest.raises(ValueError, match=f'^{table.kind}=none_such: expected'):
      table.get('none_such')
    assert name.lower().startswith(table.kind[:4])


@pytest.mark.parametrize('name, base', [
    ('ESTIMATORS', numerics.Estimator), ('LAWS', numerics.Law),
    ('NOISE_LAWS', numerics.NoiseLaw), ('SOLVERS', numerics.Solver),
    ('OBJECTIVES', objectives.Objective),
    ('ACTIVATIONS', layers.LipschitzLayer),
    ('MASKS', masks.Mask), ('MATRICES', invertible_matrix.Parameterization),
    ('MODELS', model_config.ModelConfig)])
def test_kinds_derive_from_their_base(name, base):
  table = _TABLES[name]
  for kind in table.names():
    assert issubclass(table.get(kind), base), kind
    assert table.name_of(table.get(kind)) == kind


def test_specified_kinds_ask_their_own_table():
  for name in ('ESTIMATORS', 'LAWS', 'NOISE_LAWS', 'SOLVERS', 'OBJECTIVES'):
    table = _TABLES[name]
    for kind in map(table.get, table.names()):
      assert issubclass(kind, spec.Specified) and kind.registry is table


def test_data_sets_and_constraints():
  for name in registries.DATASETS.names():
    info = registries.DATASETS.get(name)
    assert isinstance(info, datasets.DatasetInfo) and info.name == name
    assert info.model in registries.MODELS.names()
  for name in registries.CONSTRAINTS.names():
    assert isinstance(registries.CONSTRAINTS.get(name), layers.Constraint)


@pytest.mark.parametrize('name', [
    'BLOCKS', 'CROP_MODES', 'EMBEDDINGS', 'INVERTIBLE_LINEARS', 'MEMORY_MODES',
    'OPTIMIZERS', 'PREPROCESSORS', 'PROBES', 'SCHEDULES', 'STRATEGIES'])
def test_functions(name):
  table = _TABLES[name]
  assert all(callable(table.get(kind)) for kind in table.names())


def test_unused_fields_are_those_of_blocks():
  fields = {f.name for f in block_flow_config.BlockFlowConfig.fields()}
  assert set(registries.UNUSED_FIELDS) <= set(registries.BLOCKS.names())
  for names in registries.UNUSED_FIELDS.values():
    assert set(names) <= fields
