"""Files of PyTorch, and how they are read."""

import pathlib
import shutil

import pytest

from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file

_TESTDATA = pathlib.Path(__file__).parent / 'testdata'


@pytest.fixture(params=['zip', 'legacy'])
def kind(request):
  return request.param


@pytest.fixture
def genuine(kind, tmp_path, monkeypatch):
  """A copy of a file by PyTorch, with objects of a package `flows`."""
  monkeypatch.setattr(
      torch_file, '_PACKAGES', torch_file._PACKAGES | {'flows'})
  return shutil.copy(_TESTDATA / f'torch_{kind}.pth', tmp_path / 'file.pth')


@pytest.fixture
def load(tmp_path):
  """Returns a function that reads a zip file around a pickle."""
  def load_fn(data, storages=None, **options):
    path = tmp_path / 'file.pth'
    torch_writer.write_zip(path, data, storages or {}, **options)
    return torch_file.read(path)
  return load_fn
