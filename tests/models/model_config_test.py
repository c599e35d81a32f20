"""Common behaviour of model configurations, with one of a test."""

import dataclasses
import json

import pytest

from tests import splits
from tests import testing
from tf_resflow import errors
from tf_resflow import models
from tf_resflow.specs import fields
from tf_resflow.specs import registries


@dataclasses.dataclass(frozen=True, kw_only=True)
class WaveConfig(models.ModelConfig):
  """Waves on data of a given length."""

  length: int = fields.field(4, help='Of the data.', is_flag=False)
  num_waves: int = fields.field(3, help='Waves.', minimum=1)
  widths: tuple[float, ...] = fields.field((), help='Of waves.')
  seed: int = fields.field(
      0, help='Of the start.', is_flag=False, changes_function=False)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
  monkeypatch.setitem(registries.MODELS._entries, 'wave', WaveConfig)


def test_name():
  assert WaveConfig.name() == WaveConfig().name() == 'wave'

  class Other(WaveConfig):
    pass

  with pytest.raises(errors.InvalidValueError, match='^model=.*Register '):
    Other.name()


def test_fields_from_data():
  inferred = {'length': 7, 'seed': 2, 'image_shape': (8, 8, 1)}
  assert WaveConfig.fields_from_data(inferred) == {
      'length': 7, 'seed': 2, 'data_fingerprint': ''}
  assert WaveConfig.fields_from_data({**inferred, 'data_fingerprint': 'f'})[
      'data_fingerprint'] == 'f'
  assert WaveConfig.fields_from_data(inferred) == WaveConfig(
      length=7, seed=2).inferred_fields()
  assert splits.refusal(WaveConfig.fields_from_data, {'seed': 2}) == (
      'model=wave cannot be used with these data. These data have no length. '
      'Give a data set for this model, such as --dataset=table:FILE.csv for '
      'vectors.')


def test_what_makes_another_function():
  config = WaveConfig(seed=1)
  assert config.function_differences(WaveConfig(seed=2)) == {}
  assert config.function_differences(WaveConfig(num_waves=4, length=5)) == {
      'num_waves': (3, 4), 'length': (4, 5)}
  image = models.ResidualFlowConfig()
  assert config.function_differences(image) == {'model': ('wave', 'image')}


def test_json():
  config = WaveConfig(length=5, widths=(0.1 + 0.2, 1.0), seed=3)
  text = config.to_json()
  assert json.loads(text) == {
      'model': 'wave', 'length': 5, 'num_waves': 3,
      'widths': [0.1 + 0.2, 1.0], 'seed': 3, 'data_fingerprint': ''}
  assert models.model_from_json(text) == config
  assert models.model_from_json('{"model": "wave"}') == WaveConfig()


def test_json_that_is_no_model():
  start = 'file=a.json: expected a model of this version. '

  def read(text):
    models.model_from_json(text, 'a.json')

  testing.check_refusals(read, [
      ('[1]', f'{start}It is not a JSON object.'),
      ('{"model": "wave", "num_waves": 0}', f'{start}num_waves=0: expected'),
      ('{"model": "wave", "waves": 1}', f'{start}field=waves: expected one of'),
      ('{"model": "waves"}', f'{start}model=waves: expected one of image, vec'),
      ('{"model": ["wave"]}', f"{start}model=['wave']: expected one of image,"),
      ('[' * 200_000, f'{start}maximum recursion depth exceeded'),
      ('', f'{start}Expecting value')])
