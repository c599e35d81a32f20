"""What all data sets have in common."""

import dataclasses

import numpy as np
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


def test_conditions_leave_the_other_facts_alone():
  info = datasets.info('mnist').changed(num_bits=5, resize=14)
  given = info.conditioned(['label'])
  assert given == dataclasses.replace(info, condition=given.condition)
  assert given.facts() == info.facts() and info.condition is None
  # In either order.
  assert datasets.info('mnist').conditioned(['label']).changed(
    num_bits=5, resize=14).facts() == given.facts()


def test_labels_of_vectors_are_conditions():
  info = datasets.VectorInfo(
    name='two', event_size=2, num_classes=3, load_fn=lambda part: (
      np.arange(12.0).reshape([6, 2]), np.arange(6) % 3))
  given = info.conditioned(['label'])
  assert given.condition_facts()['condition_labels'] == 3
  split = given.open('train', None, 0)
  assert split.arrays['condition'].numpy().tolist() == [0, 1, 2, 0, 1, 2]
  assert split.num_condition_labels == 3
