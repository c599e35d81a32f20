"""Old names in stored files, with tables that say what they are now."""

import json
import logging

import keras
import numpy as np
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
  fields = {'nonlinearity': 'activation', 'normalise': 'act_norm'}
  monkeypatch.setattr(renamed, 'FIELDS', fields)
  monkeypatch.setattr(renamed, 'RUN_FLAGS', renamed.RUN_FLAGS | fields)
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
  present = {
      '--split=column:column:a': '--test_rows=group:column:a',
      '--split=last': '--test_rows=last', '--condition=': '--condition_on='}
  assert {old: renamed.present_flag(old) for old in present} == present
  # Of a tool that has these flags.
  assert {old: renamed.present_flag(old, ('split', 'condition'))
          for old in present} == {old: old for old in present}
  # A former one has no effect.
  assert renamed.completed(['--image_size=28', '--seed=3']) == ['--seed=3']


@keras.saving.register_keras_serializable('tf_resflow')
class Swish(layers.LipSwish):
  """A layer as it was when a file was written."""

  def get_config(self):
    config = super().get_config()
    return config | {'slope': config.pop('name')}


def test_a_keras_file(tmp_path, caplog):
  stored = keras.Sequential([
      keras.Input((2,)), layers.LipschitzSequential([Swish(name='one')])])
  weights = [w + 1.0 for w in stored.get_weights()]
  stored.set_weights(weights)
  stored.save(tmp_path / 'a.keras')
  base_layer.configured(layers.LipSwish)
  try:
    with caplog.at_level(logging.WARNING):
      model = keras.models.load_model(tmp_path / 'a.keras')
  finally:
    keras.saving.get_custom_objects().pop('tf_resflow>Swish')
  (layer,) = model.layers[0].parts
  assert (type(layer), layer.name) == (layers.LipSwish, 'one')
  np.testing.assert_array_equal(model.get_weights(), weights)
  assert [r.getMessage() for r in caplog.records] == [
      'The class Swish is called LipSwish now.',
      'The argument of LipSwish slope is called name now.']
