"""Facts about images."""

import pytest

from tf_resflow import datasets
from tf_resflow import errors


def test_facts():
  info = datasets.info('cifar10')
  assert info.model == 'image' and info.event_shape == (32, 32, 3)
  assert info.facts() == {
    'image_shape': (32, 32, 3), 'num_levels': 256, 'num_classes': 10
  }


def test_changes_know_what_is_stored():
  info = datasets.info('cifar10')
  few = info.changed(num_bits=5)
  assert (few.image_shape, few.num_levels) == ((32, 32, 3), 32)
  small = info.changed(resize=8)
  assert (small.image_shape, small.num_levels) == ((8, 8, 3), 256)
  assert few.stored is small.stored is info and small.resize == 8
  assert small.changed(num_bits=3).stored is info


@pytest.mark.parametrize('name, change, message', [
  ('cifar10', {'num_bits': 0}, 'num_bits=0: expected 1 to 8'),
  ('cifar10', {'resize': 0}, 'resize=0: expected a whole number from 1'),
  ('digits', {'num_bits': 4}, 'num_bits=4: expected 8, since digits has 17'),
])
def test_bad_changes(name, change, message):
  with pytest.raises(errors.InvalidValueError, match=message):
    datasets.info(name).changed(**change)
