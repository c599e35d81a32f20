"""The digits, prepared once."""

import pytest

from tf_resflow import datasets


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  datasets.load('digits', 'train', data_dir=folder)
  return str(folder)
