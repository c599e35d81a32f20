"""Configurations: round trips and one clear line per mistake."""

import dataclasses
import json

import pytest

from tf_resflow import models

IMAGE_ERRORS = [
    ({'image_shape': (32, 32)}, r'image_shape is \(32, 32\); expected'),
    ({'num_levels': 1}, 'num_levels is 1; it must be 2 or more'),
    ({'num_blocks': ()}, r'num_blocks is \(\); expected one positive'),
    ({'num_blocks': (4, 0)}, r'num_blocks is \(4, 0\)'),
    ({'num_blocks': 16}, r'num_blocks is 16; expected a tuple'),
    ({'image_shape': (28, 28, 1), 'num_blocks': (1, 1, 1, 1)},
     '28 x 28; both must be divisible by 8'),
    ({'image_shape': (6, 6, 1), 'num_blocks': (1, 1), 'squeeze_first': True},
     'need 2 squeezes.*divisible by 4'),
    ({'hidden_channels': 0}, 'hidden_channels is 0; it must be positive'),
    ({'kernel_sizes': (3, 2, 3)},
     r'kernel_sizes is \(3, 2, 3\); expected two or more odd'),
    ({'kernel_sizes': (3,)}, r'kernel_sizes is \(3,\); expected two or more'),
    ({'num_dense_hidden_layers': -1}, 'num_dense_hidden_layers is -1'),
    ({'num_classes': 1}, 'num_classes is 1; it must be 0 or at least 2'),
    ({'head_channels': 0}, 'head_channels is 0; it must be positive'),
    ({'num_classes': 10, 'factor_out': True, 'num_blocks': (1,)},
     'num_classes is 10 with factor_out and one scale'),
    ({'num_dense_blocks': -1}, 'num_dense_blocks is -1'),
    ({'dense_hidden_units': 0}, 'dense_hidden_units is 0'),
    ({'preprocessing': 'pca'}, "preprocessing is 'pca'; expected 'logit'"),
    ({'logit_alpha': 0.5}, 'logit_alpha is 0.5; it must lie strictly'),
    ({'preprocessing': 'standardize'}, r'needs 3 numbers each'),
    ({'preprocessing': 'standardize', 'squeeze_first': True, 'mean': (0.5,),
      'std': (0.5,)}, r'needs 3 or 12 numbers each'),
    ({'preprocessing': 'standardize', 'mean': (0.5,) * 3,
      'std': (0.1, 0.0, 0.1)}, r'std \(0.1, 0.0, 0.1\)'),
]

BLOCK_ERRORS = [
    ({'activation': 'tanh'}, "activation is 'tanh'; expected one of lipswish"),
    ({'lipschitz_coeff': 1.0}, 'lipschitz_coeff is 1.0; it must lie strictly'),
    ({'num_exact_terms': -1}, 'num_exact_terms is -1'),
    ({'truncation': 'fixed'}, "truncation is 'fixed'; expected 'poisson'"),
    ({'truncation_parameter': 0.0}, 'truncation_parameter is 0.0'),
    ({'truncation': 'geometric', 'truncation_parameter': 2.0},
     'truncation_parameter is 2.0'),
    ({'probe': 'uniform'}, "probe is 'uniform'; expected 'rademacher'"),
    ({'memory': 'little'}, "memory is 'little'; expected one of recompute"),
]

VECTOR_ERRORS = [
    ({'event_size': 0}, 'event_size is 0; it must be positive'),
    ({'num_blocks': 0}, 'num_blocks is 0; it must be positive'),
    ({'hidden_units': (4, 0)}, r'hidden_units is \(4, 0\)'),
    ({'hidden_units': 64}, 'hidden_units is 64; expected a tuple'),
]


def check(config_class, fields, message):
  with pytest.raises(ValueError, match=message) as error:
    config_class(**fields)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('fields, message', IMAGE_ERRORS + BLOCK_ERRORS)
def test_errors_of_image_flows(fields, message):
  check(models.ResidualFlowConfig, fields, message)


@pytest.mark.parametrize('fields, message', VECTOR_ERRORS + BLOCK_ERRORS)
def test_errors_of_vector_flows(fields, message):
  check(models.VectorFlowConfig, fields, message)


def test_json_round_trip():
  config = models.ResidualFlowConfig(
      image_shape=(8, 8, 1), num_blocks=(2, 1), mean=(0.5,), std=(0.2,),
      preprocessing='standardize', factor_out=True)
  text = config.to_json()
  assert json.loads(text)['num_blocks'] == [2, 1]
  copy = models.ResidualFlowConfig.from_json(text)
  assert copy == config and hash(copy) == hash(config)
  with pytest.raises(TypeError, match='num_block'):
    models.ResidualFlowConfig.from_json('{"num_block": [1]}')


def test_frozen():
  with pytest.raises(dataclasses.FrozenInstanceError):
    models.ResidualFlowConfig().num_levels = 8


def test_event_size():
  assert models.ResidualFlowConfig().event_size == 3072


def test_what_makes_another_function():
  config = models.ResidualFlowConfig()
  other = dataclasses.replace(
      config, num_levels=32, num_exact_terms=8, probe='gaussian', seed=5,
      truncation='geometric', truncation_parameter=0.5, memory='neumann')
  assert config.is_same_function(other) and other.is_same_function(config)
  for change in ({'hidden_channels': 4}, {'logit_alpha': 0.1},
                 {'lipschitz_coeff': 0.9}, {'image_shape': (32, 32, 1)}):
    assert not config.is_same_function(dataclasses.replace(other, **change))
