"""Tests of loading: sizes, pixels, parts, bits, and every error line.

Not tested here: real downloads. Their code path runs on generated stand-ins
and on a small set written to disk in their name.
"""


import numpy as np
import pytest

from tests import splits
from tf_resflow import configuration
from tf_resflow import datasets


def test_validation_is_the_end_of_the_training_part(embedded_dir):
  def read(split, num_validation):
    return splits.read(datasets.load(
      'digits', split, data_dir=embedded_dir, num_validation=num_validation
    ))

  images, labels = read('train', 0)
  train_images, train_labels = read('train', 100)
  held_images, held_labels = read('validation', 100)
  assert len(train_images) == 1337
  assert len(held_images) == 100
  np.testing.assert_array_equal(
    np.concatenate([train_images, held_images]), images
  )
  np.testing.assert_array_equal(
    np.concatenate([train_labels, held_labels]), labels
  )
  np.testing.assert_array_equal(read('test', 100)[0], read('test', 0)[0])
  sizes = {
    split: datasets.load(
      'digits', split, data_dir=embedded_dir, num_validation=100
    ).num_examples
    for split in ('train', 'validation', 'test')
  }
  assert sizes == {'train': 1337, 'validation': 100, 'test': 360}


@pytest.mark.parametrize('name, split, arguments, message', [
  ('nist', 'train', {}, 'dataset=nist: expected one of digits'),
  ('digits', 'dev', {}, 'split=dev: expected one of train, validation, test'),
  ('digits', 'validation', {}, 'where num_validation is 0'),
  ('digits', 'train', {'num_validation': 1437}, 'fewer than the 1437'),
  ('digits', 'train', {'num_validation': -1}, 'a whole number from 0'),
  ('digits', 'train', {'num_bits': 5}, 'expected 8, since digits has 17'),
  ('mnist5k', 'train', {'num_bits': 0}, 'num_bits=0: expected 1 to 8'),
  ('mnist5k', 'train', {'num_bits': 9}, 'num_bits=9: expected 1 to 8'),
  ('mnist5k', 'train', {'resize': 0}, 'resize=0: expected a whole number'),
])
def test_bad_arguments(name, split, arguments, message, embedded_dir):
  with pytest.raises(ValueError, match=message) as error:
    datasets.load(name, split, data_dir=embedded_dir, **arguments)
  splits.one_line(error)


def test_load_split(embedded_dir):
  config = configuration.make_config(
    dataset='mnist5k', data_dir=str(embedded_dir), num_bits=5, resize=14,
    num_validation=7, num_blocks=(1, 1),
  )
  split = datasets.load_split(config.data, 'validation')
  assert split.num_examples == 7
  assert split.event_shape == config.model.image_shape == (14, 14, 1)
  assert split.num_levels == config.model.num_levels == 32
  with pytest.raises(datasets.DatasetNotFoundError):
    datasets.load_split(config.data, 'train', '/dev/null')


