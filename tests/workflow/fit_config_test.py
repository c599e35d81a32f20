"""Configurations of runs on frames, arrays, paths and names."""

import os

import numpy as np
import pandas as pd

from tests import testing
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import workflow
from tf_resflow.configuration import flagfiles
from tf_resflow.workflow import fit_config

_SHORT = {'num_steps': 2, 'num_blocks': 1, 'hidden_units': (8,),
          'base': 'normal', 'sample_every': 0}


def test_a_frame_of_your_own_may_be_called_like_a_data_set():
  frame = pd.DataFrame(
      np.random.default_rng(0).normal(size=[60, 2]), columns=['a', 'b'])
  assert fit_config.config_of(
      datasets.table(frame, name='cifar10'), {}).model.hidden_units == (32, 32)


def test_what_a_run_is_made_of(tmp_path, table):
  """Names and paths; a configuration; defaults by the data."""
  os.makedirs(tmp_path / 'photos')
  made = [fit_config.config_of(data, dict(_SHORT)) for data in (
      f'table:{table}', table, str(table),
      configuration.make_config(**flagfiles.settings('table') | {
          'dataset': f'table:{table}'}))]
  assert made[0] == made[1] == made[2] == made[3]
  points = fit_config.config_of('2d/moons', {})
  assert points.data.dataset == '2d/moons'
  assert points.model.num_blocks == flagfiles.settings('2d')[
      'num_blocks']
  rows = np.random.default_rng(0).normal(size=[40, 3])
  vectors = fit_config.config_of(rows, {'labels': np.arange(40) % 2})
  assert (vectors.model.event_size, vectors.info.num_classes) == (3, 2)
  pixels = np.random.default_rng(0).integers(0, 256, [20, 8, 8, 1], np.uint8)
  for data in pixels, datasets.array(pixels):
    images = fit_config.config_of(data, {})
    assert (images.data.num_bits, images.model.image_shape) == (5, (8, 8, 1))
  digits = fit_config.config_of('digits', {'num_steps': 3})
  assert (digits.model.num_blocks, digits.optimizer.num_steps) == ((4, 4), 3)
  testing.check_refusals(workflow.fit, [
      ([[1.0, 2.0]], 'data=a list: expected a data frame, an array, a path'),
      ('none.csv', 'dataset=none.csv: expected one of digits, ...Did you mean '
       'table:none.csv?'),
      (tmp_path / 'photos', f'dataset=images:{tmp_path}/photos: expected ')])
  testing.check_refusals(lambda name: workflow.fit('2d/moons', **{name: 1}), [
      ('num_step', 'num_step is not a setting. Did you mean num')
  ])
