"""What all data sets have in common."""

import pytest

from tf_resflow import datasets
from tf_resflow import errors


def test_the_base_is_abstract():
  with pytest.raises(TypeError, match='abstract'):
    datasets.DatasetInfo(name='none')


@pytest.mark.parametrize('change, message', [
  ({'num_bits': 5}, 'num_bits=5: expected 8 with dataset=2d/moons. It is for'),
  ({'resize': 8}, 'resize=8: expected None with dataset=2d/moons.'),
])
def test_only_images_are_changed(change, message):
  info = datasets.info('2d/moons')
  assert info.changed() is info
  with pytest.raises(errors.InvalidValueError, match=message):
    info.changed(**change)
