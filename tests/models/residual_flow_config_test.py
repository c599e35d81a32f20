"""Configurations of models: one clear line per mistake, JSON, functions."""

import dataclasses

import pytest

from tests import testing
from tf_resflow import errors
from tf_resflow import layers
from tf_resflow import models
from tf_resflow.specs import registries

_IMAGE_ERRORS = [
    (dict(image_shape=(28, 28, 1), num_blocks=(1, 1, 1, 1)),
     'num_blocks=1,1,1,1: expected fewer scales for images of 28 x 28. 4 scales'
     ' need 3 squeezes by 2, so height and width must be divisible by 8.'),
    (dict(image_shape=(6, 6, 1), num_blocks=(1, 1), squeeze_first=True),
     'num_blocks=1,1: expected fewer scales for images of 6 x 6. 2 scales need '
     '2 squeezes by 2, so height and width must be divisible by 4.'),
    (dict(kernel_sizes=(3, 2, 3)), 'kernel_sizes=3,2,3: expected odd numbers.'),
    (dict(num_classes=1), 'num_classes=1: expected 0, or at least 2.'),
    (dict(num_classes=10, factor_out=True, num_blocks=(1,)),
     'factor_out=true cannot be used with a hybrid model of one scale.'),
    (dict(mean=(0.5,)), 'mean=0.5: expected one number per channel, 3.'),
    (dict(squeeze_first=True, mean=(0.5,), std=(0.5,)), 'mean=0.5: expected o'),
    (dict(squeeze_first=True, mean=(0.5,) * 3), 'std=: expected as many numb'),
]

@pytest.mark.parametrize('values, message', _IMAGE_ERRORS)
def test_errors_of_image_flows(values, message):
  testing.check_refusal(models.ResidualFlowConfig, values, message)


def test_standardisation_needs_its_numbers():
  config = models.ResidualFlowConfig(
      image_shape=(2, 2, 1), num_blocks=(1,), num_dense_blocks=0,
      preprocessing='standardize')
  with pytest.raises(errors.InvalidValueError, match='requires mean and std'):
    config.build()


def test_what_makes_another_function():
  config = models.ResidualFlowConfig()
  other = dataclasses.replace(
      config, num_levels=32, estimator='fixed:8', seed=5, memory='neumann')
  assert config.function_differences(other) == {}
  for change in (dict(hidden_channels=4), dict(image_shape=(32, 32, 1))):
    (name,) = change
    assert config.function_differences(
        dataclasses.replace(other, **change)) == {
            name: (getattr(config, name), change[name])}


def _make_noise(unused_config, dtype, size=2):
  """A factory of a reader, with a size of its own."""
  return layers.NoiseChannels(size, dtype=dtype)


_make_noise.unused_fields = ('noise_channels', 'noise_distribution', 'no_field')


def test_an_augmentation_refuses_fields_that_it_does_not_use(monkeypatch):
  monkeypatch.setitem(registries.AUGMENTATIONS._entries, 'mine', _make_noise)
  for text in ('mine', 'mine:3'):
    models.ResidualFlowConfig(augmentation=text)
    testing.check_refusal(
        models.ResidualFlowConfig,
        {'augmentation': text, 'noise_channels': 2},
        f'noise_channels=2 has no effect with augmentation={text}. Leave it ou')
