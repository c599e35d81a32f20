"""The parts of a run, each for itself."""

import dataclasses

import pytest

from tf_resflow import errors
from tf_resflow.configuration import sections

_SECTIONS = (sections.KindConfig, sections.DataConfig, sections.ObjectiveConfig,
             sections.OptimizerConfig, sections.RunConfig)


@pytest.mark.parametrize('section', _SECTIONS)
def test_defaults_are_admissible_and_explained(section):
  made = section()
  assert made.differences(section()) == {}
  for field in section.fields():
    assert field.help.endswith('.') and field.is_flag, field.name
    assert getattr(made, field.name) == field.default


@pytest.mark.parametrize('section, change, message', [
    (sections.KindConfig, dict(model='audio'), 'model=audio: expected one of'),
    (sections.DataConfig, dict(dataset='none'), 'dataset=none: expected one'),
    (sections.DataConfig, dict(num_bits=5), 'num_bits=5: expected 8, since'),
    (sections.DataConfig, dict(image_size=9),
     'image_size=9: expected the size of the images of digits, 8 x 8. Leave'),
    (sections.ObjectiveConfig, dict(nll_weight=-0.5),
     'nll_weight=-0.5: expected a number from 0.'),
    (sections.OptimizerConfig, dict(beta_2=1.0),
     'beta_2=1.0: expected a number in [0, 1).'),
    (sections.RunConfig, dict(imports='json'),
     'import=json: expected texts, such as a,b.'),
    (sections.RunConfig, dict(log_every=0), 'log_every=0: expected a whole')])
def test_bad_values(section, change, message):
  with pytest.raises(errors.InvalidValueError) as info:
    section(**change)
  assert str(info.value).startswith(message)


def test_facts_follow_from_the_data():
  digits = sections.DataConfig(image_size=8)
  assert digits.facts() == {
      'image_shape': (8, 8, 1), 'num_levels': 17, 'num_classes': 10}
  changed = sections.DataConfig(
      dataset='cifar10', num_bits=5, resize=16, image_size=16)
  assert changed.facts() == {
      'image_shape': (16, 16, 3), 'num_levels': 32, 'num_classes': 10}


@pytest.mark.parametrize('schedule, names', [
    ('constant', set()), ('cosine', {'num_steps'})])
def test_only_endless_schedules_are_prolonged(schedule, names):
  start = sections.OptimizerConfig(schedule=schedule)
  longer = dataclasses.replace(start, num_steps=5)
  assert set(longer.differences(start)) == names


def test_the_name_of_import_is_that_of_its_flag():
  (field,) = [f for f in sections.RunConfig.fields() if f.name == 'imports']
  assert field.flag == 'import' and field.element is str
