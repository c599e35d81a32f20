"""Configurations of models: one clear line per mistake, JSON, functions."""

import dataclasses
import json

import pytest

from tests import testing
from tf_resflow import configuration
from tf_resflow import errors
from tf_resflow import models

_IMAGE_ERRORS = [
    (dict(image_shape=(32, 32)), 'image_shape=32,32: expected 3 or more whole'),
    (dict(image_shape=(32, 32, 3, 1)), 'image_shape=32,32,3,1: expected heigh'),
    (dict(num_levels=1), 'num_levels=1: expected a whole number from 2.'),
    (dict(num_blocks=()), 'num_blocks=: expected 1 or more whole numbers fro'),
    (dict(num_blocks=(4, 0)), 'num_blocks=4,0: expected 1 or more whole numb'),
    (dict(num_blocks=16), 'num_blocks=16: expected 1 or more whole numbers'),
    (dict(image_shape=(28, 28, 1), num_blocks=(1, 1, 1, 1)),
     'num_blocks=1,1,1,1: expected fewer scales for images of 28 x 28. 4 scales'
     ' need 3 squeezes by 2, so that both must be divisible by 8.'),
    (dict(image_shape=(6, 6, 1), num_blocks=(1, 1), squeeze_first=True),
     'num_blocks=1,1: expected fewer scales for images of 6 x 6. 2 scales need '
     '2 squeezes by 2, so that both must be divisible by 4.'),
    (dict(hidden_channels=0), 'hidden_channels=0: expected a whole number fro'),
    (dict(kernel_sizes=(3, 2, 3)), 'kernel_sizes=3,2,3: expected odd numbers.'),
    (dict(kernel_sizes=(3,)), 'kernel_sizes=3: expected 2 or more whole numbe'),
    (dict(num_dense_hidden_layers=-1), 'num_dense_hidden_layers=-1: expected'),
    (dict(num_classes=1), 'num_classes=1: expected 0, or 2 and more.'),
    (dict(head_channels=0), 'head_channels=0: expected a whole number from 1.'),
    (dict(num_classes=10, factor_out=True, num_blocks=(1,)),
     'factor_out=true: expected false in a hybrid flow of one scale.'),
    (dict(num_dense_blocks=-1), 'num_dense_blocks=-1: expected a whole number'),
    (dict(dense_hidden_units=0), 'dense_hidden_units=0: expected a whole numb'),
    (dict(noise_channels=-1), 'noise_channels=-1: expected a whole number fr'),
    (dict(noise_law='cauchy'), 'noise_law=cauchy: expected one of uniform, g'),
    (dict(embedding='pca'), 'embedding=pca: expected one of noise_channels.'),
    (dict(preprocessing='pca'), 'preprocessing=pca: expected one of logit, st'),
    (dict(logit_alpha=0.5), 'logit_alpha=0.5: expected a number in (0, 0.5).'),
    (dict(mean=(0.5,)), 'mean=0.5: expected one number per channel, 3.'),
    (dict(squeeze_first=True, mean=(0.5,), std=(0.5,)),
     'mean=0.5: expected one number per channel, 3 or 12.'),
    (dict(squeeze_first=True, mean=(0.5,) * 3), 'std=: expected as many numb'),
    (dict(std=(0.1, 0.0, 0.1)), 'std=0.1,0.0,0.1: expected numbers above 0'),
]

@pytest.mark.parametrize('values, message', _IMAGE_ERRORS)
def test_errors_of_image_flows(values, message):
  testing.check_refusal(models.ResidualFlowConfig, values, message)


@pytest.mark.parametrize('config', [
    models.ResidualFlowConfig(
        image_shape=(8, 8, 1), num_blocks=(2, 1), mean=(0.1 + 0.2,), std=(0.2,),
        preprocessing='standardize', factor_out=True, estimator='fixed:3'),
    models.VectorFlowConfig(event_size=5, hidden_units=())])
def test_json_round_trip(config):
  text = config.to_json()
  assert json.loads(text)['model'] == config.name()
  copy = configuration.model_from_json(text)
  assert copy == config and hash(copy) == hash(config)
  assert type(config).from_json(text) == config


def test_json_of_another_type():
  text = models.VectorFlowConfig().to_json()
  with pytest.raises(ValueError, match='model=vector: expected image.'):
    models.ResidualFlowConfig.from_json(text)


@pytest.mark.parametrize('text, message', [
    ('{"num_blocks": [1]}', 'model=None: expected one of image, vector.'),
    ('{"model": "audio"}', 'model=audio: expected one of image, vector.'),
    ('{"model": "image", "num_block": 1}', 'field=num_block: expected one of '),
    ('{"model": "image", "num_levels": 1}', 'num_levels=1: expected a whole '),
    ('{"model": ["image"]}', "model=['image']: expected one of image, vector."),
    ('{"image_shape": [8, 8, 1], "truncation": "poisson"}',
     'It was made by version 0.1.0 of tf_resflow, which reads it.'),
    ('[]', ''), ('{', 'Expecting property name')])
def test_json_that_is_no_model(text, message):
  with pytest.raises(errors.InvalidValueError) as error:
    configuration.model_from_json(text, '/run/model.json')
  line = str(error.value)
  start = 'file=/run/model.json: expected a model of this version.'
  assert f'{line} '.startswith(f'{start} {message}'.strip())
  assert '\n' not in line


def test_frozen():
  with pytest.raises(dataclasses.FrozenInstanceError):
    models.ResidualFlowConfig().num_levels = 8


def test_event_size():
  assert models.ResidualFlowConfig().event_size == 3072


def test_build():
  vector = models.VectorFlowConfig(num_blocks=1, hidden_units=(3,))
  assert isinstance(vector.build('float64'), models.VectorFlow)
  assert vector.build('float64').compute_dtype == 'float64'
  image = models.ResidualFlowConfig(
      image_shape=(2, 2, 1), num_blocks=(1,), num_dense_blocks=0,
      hidden_channels=2)
  model = image.build()
  assert isinstance(model, models.ResidualFlow)
  assert (model.config, model.compute_dtype) == (image, 'float32')


def test_standardisation_needs_its_numbers():
  config = models.ResidualFlowConfig(
      image_shape=(2, 2, 1), num_blocks=(1,), num_dense_blocks=0,
      preprocessing='standardize')
  with pytest.raises(errors.InvalidValueError, match='^mean=: expected one'):
    config.build()


def test_what_makes_another_function():
  config = models.ResidualFlowConfig()
  other = dataclasses.replace(
      config, num_levels=32, estimator='fixed:8', seed=5, memory='neumann')
  assert config.function_differences(other) == {}
  assert other.function_differences(config) == {}
  for change in (dict(hidden_channels=4), dict(logit_alpha=0.1),
                 dict(lipschitz_coeff=0.9), dict(image_shape=(32, 32, 1))):
    changed = dataclasses.replace(other, **change)
    (name,) = change
    assert config.function_differences(changed) == {
        name: (getattr(config, name), change[name])}
  assert config.function_differences(models.VectorFlowConfig()) == {
      'model': ('image', 'vector')}
