"""A finished run of the digits."""

import pytest

from tests.training import runs
from tf_resflow import training


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory, data_dir):
  """The workdir of `runs.config`, and its `Trainer`; copy it to change it."""
  workdir = str(tmp_path_factory.mktemp('run'))
  return workdir, training.train(runs.config(data_dir), workdir)
