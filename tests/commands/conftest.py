"""Runs of the digits."""

import pytest

from tests.commands import processes
from tf_resflow import configuration
from tf_resflow import datasets
from tf_resflow import training

_TRAIN = [
    '--num_blocks=1', '--hidden_channels=4', '--num_dense_blocks=0',
    '--batch_size=64', '--num_steps=4', '--warmup_steps=0',
    '--learning_rate=0.01', '--sample_every=3']


@pytest.fixture(scope='session')
def digits_workdir(tmp_path_factory, data_dir):
  """A flow of digits at step 0: initialised, not trained."""
  config = configuration.make_config(
      data_dir=data_dir, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=0, num_validation=20)
  model = config.model.build()
  model.initialize(next(iter(datasets.training_batches(
      datasets.load_split(config.data, 'train'), batch_size=64, seed=0)))[
          'x'])
  folder = tmp_path_factory.mktemp('runs') / 'digits'
  training.create_workdir(str(folder), config, model)
  return folder


@pytest.fixture(scope='session')
def trained_workdir(tmp_path_factory, data_dir):
  """A short run, by a real process, without its evaluation."""
  folder = tmp_path_factory.mktemp('runs') / 'run'
  process = processes.run_launcher(
      'train', f'--workdir={folder}', f'--data_dir={data_dir}', *_TRAIN,
      '--noevaluate_at_end')
  assert process.returncode == 0, process.stderr
  return folder
