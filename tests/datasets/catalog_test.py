"""Tests of the metadata in the catalog against the TFDS builders."""

import inspect

import pytest
import tensorflow_datasets as tfds

from tf_resflow import datasets

# What tfds builds: images that no function of this package loads.
_BUILT = [
  name for name in datasets.names() if datasets.info(name).model == 'image'
  and datasets.info(name).load_fn is None]


@pytest.mark.parametrize('name', _BUILT)
def test_info_agrees_with_the_builder(name, tmp_path):
  info = datasets.info(name)
  builder = tfds.builder(name, data_dir=str(tmp_path))
  assert info.name == name
  assert info.num_levels == 256
  assert info.homepage.startswith('http')
  assert name in (builder.name, f'{builder.name}/{builder.builder_config.name}'
                  if builder.builder_config else '')
  # ImageNet's features leave height and width open.
  for stated, known in zip(
      builder.info.features['image'].shape, info.image_shape, strict=True):
    assert stated in (known, None)
  assert ('label' in builder.info.features) == (info.num_classes > 0)
  if info.num_classes:
    assert builder.info.features['label'].num_classes == info.num_classes


def test_part_sizes_that_tfds_states():
  # tfds knows sizes for certain only after a download; these it writes down.
  mnist = inspect.getmodule(tfds.image_classification.MNIST)
  info = datasets.info('mnist')
  assert info.num_train == mnist._TRAIN_EXAMPLES
  assert info.num_test == mnist._TEST_EXAMPLES
  info = datasets.info('cifar10')
  source = inspect.getsource(tfds.image_classification.Cifar10)
  assert f'{info.num_train} training images' in source
  assert f'{info.num_test} test images' in source
