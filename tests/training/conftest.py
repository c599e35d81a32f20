"""A finished run of the digits."""

import shutil

import pytest

from tests.training import runs
from tf_resflow import training


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory, data_dir):
  """The workdir of `runs.config`, and its `Trainer`."""
  workdir = str(tmp_path_factory.mktemp('run'))
  return workdir, training.train(runs.config(data_dir), workdir)


@pytest.fixture
def copied_run(finished_run, tmp_path):
  """A copy of the workdir, to be changed."""
  return shutil.copytree(finished_run[0], tmp_path / 'copy')
