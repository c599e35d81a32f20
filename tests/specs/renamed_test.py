"""Old names in stored files, with tables that say what they are now."""

import json
import logging

import keras
import pytest

from tf_resflow import configuration
from tf_resflow import layers
from tf_resflow.configuration import flag_parsing
from tf_resflow.layers import base_layer
from tf_resflow.models import model_config
from tf_resflow.specs import renamed

_CONFIG = configuration.make_config(
    dataset='2d/moons', act_norm=False, activation='cpila')


@pytest.fixture(autouse=True)
def tables(monkeypatch):
  monkeypatch.setattr(renamed, 'FIELDS', {
      'nonlinearity': 'activation', 'normalise': 'act_norm'})
  monkeypatch.setattr(renamed, 'CLASSES', {'Swish': 'LipSwish'})
  monkeypatch.setattr(renamed, 'ARGUMENTS', {'LipSwish': {'slope': 'name'}})


def _old(text):
  return text.replace('act_norm', 'normalise').replace(
      'activation', 'nonlinearity')


def test_flagfile(tmp_path, caplog):
  text = _old(flag_parsing.to_flagfile(_CONFIG))
  assert '--nonormalise\n' in text and '--nonlinearity=cpila\n' in text
  (tmp_path / 'run.flags').write_text(text)
  with caplog.at_level(logging.WARNING):
    assert flag_parsing.from_flagfile(tmp_path / 'run.flags') == _CONFIG
  assert 'The flag nonlinearity is called activation now.' in {
      r.getMessage() for r in caplog.records}


def test_model_json():
  text = _old(_CONFIG.model.to_json())
  assert 'nonlinearity' in json.loads(text)
  assert model_config.model_from_json(text) == _CONFIG.model


def test_flag():
  present = {
      '--normalise': '--act_norm', '--normalise=false': '--act_norm=false',
      '--num_steps=3': '--num_steps=3', '--noflip': '--noflip',
      'digits': 'digits'}
  assert {old: renamed.present_flag(old) for old in present} == present


def test_class_and_arguments_of_a_keras_file(caplog):
  base_layer.configured(layers.LipSwish)
  stored = keras.saving.serialize_keras_object(layers.LipSwish(name='one'))
  stored |= {'class_name': 'Swish', 'registered_name': 'tf_resflow>Swish'}
  stored['config']['slope'] = stored['config'].pop('name')
  try:
    with caplog.at_level(logging.WARNING):
      layer = keras.saving.deserialize_keras_object(stored)
  finally:
    keras.saving.get_custom_objects().pop('tf_resflow>Swish')
  assert type(layer) is layers.LipSwish
  assert layer.name == 'one'
  assert [r.getMessage() for r in caplog.records] == [
      'The class Swish is called LipSwish now.',
      'The argument of LipSwish slope is called name now.']
