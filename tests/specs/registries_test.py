"""Every registered name resolves to a value of the right type."""

import pytest

from tf_resflow import datasets
from tf_resflow import layers
from tf_resflow import models
from tf_resflow import numerics
from tf_resflow.experiments import study
from tf_resflow.layers.bijections import invertible_matrix
from tf_resflow.layers.bijections import masks
from tf_resflow.models import model_config
from tf_resflow.models import objectives
from tf_resflow.numerics.norms import operator_norms
from tf_resflow.specs import registries
from tf_resflow.specs import spec

_TABLES = {name: table for name, table in vars(registries).items()
           if isinstance(table, spec.Registry)}


def test_nouns_of_tables_are_their_names_in_messages():
  nouns = [table.noun for table in _TABLES.values()]
  assert len(set(nouns)) == len(nouns)
  for name, table in _TABLES.items():
    with pytest.raises(ValueError, match=f'^{table.noun}=none_such: expected'):
      table.get('none_such')
    assert name.lower().startswith(table.noun[:4])


def test_types_derive_from_their_base():
  bases = {
      'ESTIMATORS': numerics.Estimator, 'SOLVERS': numerics.Solver,
      'TRUNCATION_DISTRIBUTIONS': numerics.TruncationDistribution,
      'NOISE_DISTRIBUTIONS': numerics.NoiseDistribution,
      'OBJECTIVES': objectives.Objective,
      'BLOCKS': (models.BlockType, layers.ResidualBlock),
      'NETWORKS': models.NetworkType,
      'ACTIVATIONS': layers.LipschitzLayer, 'MASKS': masks.Mask,
      'MATRICES': invertible_matrix.Parameterization,
      'MODELS': model_config.ModelConfig}
  values = {
      'DATASETS': datasets.DatasetInfo, 'CONSTRAINTS': layers.Constraint,
      'NORM_BOUNDS': operator_norms.OperatorNorm, 'STUDIES': study.Study}
  for name, table in _TABLES.items():
    for type_name in table.names():
      value = table.get(type_name)
      if name in bases:
        assert issubclass(value, bases[name]), type_name
        assert table.name_of(value) == type_name
        assert getattr(value, 'registry', table) is table
      elif name in values:
        assert isinstance(value, values[name]), type_name
      else:
        assert callable(value), type_name
