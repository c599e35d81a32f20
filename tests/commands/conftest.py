"""Runs of the digits, and runs whose flows are p(x|c)."""

import numpy as np
import pytest

from tests import flows
from tests import splits
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import training

_IMAGES = {'num_blocks': (1,), 'hidden_channels': 4, 'num_dense_blocks': 0}
_VECTORS = {'num_blocks': 1, 'hidden_units': (8,), 'condition_features': 4,
            'condition_hidden_units': (5,)}


def _create_workdir(folder, config):
  """Makes a run at step 0, in whose flow conditions are at work."""
  model = config.model.build()
  if config.data.condition_on:
    flows.disturb(model, 0.2)
  batch = next(iter(datasets.training_batches(
      config.open_split('train'), batch_size=64, seed=0)))
  model.initialize(batch['x'], condition=batch.get('condition'))
  training.workdir.create_workdir(str(folder), config, model)
  return folder


@pytest.fixture(scope='session')
def digits_workdir(tmp_path_factory, data_dir):
  """A flow of digits at step 0: initialised, not trained."""
  return _create_workdir(
      tmp_path_factory.mktemp('runs') / 'digits', configuration.make_config(
          data_dir=data_dir, num_validation=20, **_IMAGES))


@pytest.fixture(scope='session')
def trained_workdir(tmp_path_factory, data_dir):
  """A run of four steps, whose averages are not its last weights."""
  folder = tmp_path_factory.mktemp('runs') / 'run'
  training.train(configuration.make_config(
      data_dir=data_dir, batch_size=64, num_steps=4, warmup_steps=0,
      learning_rate=0.01, sample_every=0, **_IMAGES), str(folder))
  return folder


@pytest.fixture(scope='session')
def labelled_workdir(tmp_path_factory, data_dir):
  """A flow of digits, given the label."""
  return _create_workdir(
      tmp_path_factory.mktemp('runs') / 'labelled', configuration.make_config(
          data_dir=data_dir, condition_on=('label',), condition_features=4,
          **_IMAGES))


@pytest.fixture(scope='session')
def table(tmp_path_factory):
  """A table of four columns, a, b, c and d."""
  path = tmp_path_factory.mktemp('own') / 'table.csv'
  rng = np.random.default_rng(0)
  splits.write_table(path, 'abcd', rng.normal(
      [0.0, 5.0, -1.0, 2.0], [1.0, 2.0, 0.5, 3.0], [100, 4]))
  return path


@pytest.fixture(scope='session')
def table_workdir(tmp_path_factory, table):
  """A flow of the columns b and d, given c and a."""
  return _create_workdir(
      tmp_path_factory.mktemp('runs') / 'table', configuration.make_config(
          dataset=f'table:{table}', condition_on=('c', 'a'), **_VECTORS))


@pytest.fixture(scope='session')
def vectors_workdir(tmp_path_factory):
  """A flow of vectors without names, given one of three labels."""
  rng = np.random.default_rng(0)
  folder = tmp_path_factory.mktemp('vectors')
  np.savez(folder / 'own.npz', x=rng.normal(size=[90, 2]),
           label=np.arange(90) % 3)
  return _create_workdir(folder / 'run', configuration.make_config(
      dataset=f'array:{folder / "own.npz"}', condition_on=('label',),
      **_VECTORS))
