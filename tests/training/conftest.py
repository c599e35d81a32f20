"""The digits, prepared once, and a finished run."""

import pytest

from tests.training import runs
from tf_resflow import datasets
from tf_resflow import training


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  datasets.load('digits', 'train', data_dir=folder)
  return str(folder)


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory, data_dir):
  """The workdir of `runs.config`, and its `Trainer`; copy it to change it."""
  workdir = str(tmp_path_factory.mktemp('run'))
  return workdir, training.train(runs.config(data_dir), workdir)
