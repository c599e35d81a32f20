"""Files of PyTorch, and how they are read."""

import pathlib
import shutil
import subprocess
import types

import pytest

from tests.conversion import torch_writer
from tf_resflow.conversion import torch_file
from tf_resflow.conversion import torch_reader

_TESTDATA = pathlib.Path(__file__).parent / 'testdata'


@pytest.fixture(params=['zip', 'legacy'])
def kind(request):
  return request.param


@pytest.fixture
def genuine(kind, tmp_path):
  """A copy of a file by PyTorch."""
  return shutil.copy(_TESTDATA / f'torch_{kind}.pth', tmp_path / 'file.pth')


@pytest.fixture
def own_process():
  """For tests of files that are read in a process of their own."""


@pytest.fixture(autouse=True)
def in_process(request, monkeypatch):
  """Others are read here: to start a process takes longer than to read one."""
  def run(command, stdin, **_):
    del command
    return types.SimpleNamespace(stdout=torch_reader.read(stdin))
  if 'own_process' not in request.fixturenames:
    monkeypatch.setattr(subprocess, 'run', run)


@pytest.fixture
def load(tmp_path):
  """Returns a function that reads a zip file around a pickle."""
  def load_fn(data, storages=None, **options):
    path = tmp_path / 'file.pth'
    torch_writer.write_zip(path, data, storages or {}, **options)
    return torch_file.read(path)
  return load_fn
