"""The digits, prepared once; files of PyTorch."""

import shutil

import pytest

from tests.conversion import torch_files
from tf_resflow import datasets


@pytest.fixture(scope='session')
def data_dir(tmp_path_factory):
  folder = tmp_path_factory.mktemp('data')
  datasets.load('digits', 'train', data_dir=folder)
  return str(folder)


@pytest.fixture(params=['zip', 'legacy'])
def kind(request):
  return request.param


@pytest.fixture
def genuine(kind, tmp_path):
  """A copy of a file by PyTorch."""
  return shutil.copy(
      torch_files.TESTDATA / f'torch_{kind}.pth', tmp_path / 'file.pth')
