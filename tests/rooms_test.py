"""Rooms import each other in one direction: the contracts of pyproject.toml."""

import os
import pathlib
import subprocess
import sys
import tomllib

from importlinter import cli
import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PYPROJECT = (_ROOT / 'pyproject.toml').read_text()
# The rooms of the contract of layers, from top to bottom.
_ROOMS = [
    [room.strip(' ()') for room in line.replace(':', '|').split('|')]
    for line in tomllib.loads(_PYPROJECT)['tool']['importlinter']['contracts'][
        0]['layers']]
_SCRIPT = f'from {cli.__name__} import lint_imports_command as c; c()'


def lint(root):
  """Returns the status of the linter in a folder, and what it printed."""
  process = subprocess.run(
      [sys.executable, '-c', _SCRIPT, '--no-cache', '--no-logo'], cwd=root,
      capture_output=True, text=True, check=False,
      env={'PYTHONPATH': os.pathsep.join([str(root), *sys.path])})
  return process.returncode, process.stdout + process.stderr


@pytest.fixture(name='tree')
def tree_fixture(tmp_path):
  """Rooms that import nothing."""
  (tmp_path / 'pyproject.toml').write_text(_PYPROJECT)
  for room in ['', *sum(_ROOMS, [])]:
    folder = tmp_path / 'tf_resflow' / room
    folder.mkdir(parents=True)
    (folder / '__init__.py').touch()
  return tmp_path


def test_repository():
  status, text = lint(_ROOT)
  assert status == 0, text


@pytest.mark.parametrize('room, imported', [
    ('commands', 'conversion'), ('benchmarking', 'training'),
    ('evaluation', 'datasets'), ('models', 'bijectors'),
    ('numerics', 'configuration'), ('layers', 'private_apis'),
    ('datasets', 'configuration'), ('configuration', 'errors'),
])
def test_right_direction(tree, room, imported):
  (tree / f'tf_resflow/{room}/a.py').write_text(
      f'from tf_resflow import {imported}\n')
  status, text = lint(tree)
  assert status == 0, text


@pytest.mark.parametrize('room, source', [
    ('numerics', 'from tf_resflow import layers'),
    ('layers', 'from tf_resflow.bijectors import b'),
    ('models', 'def f():\n  from tf_resflow import training'),
    ('models', 'import tf_resflow.datasets'),
    ('evaluation', 'from tf_resflow import training'),
    ('training', 'from tf_resflow import serving'),
    ('conversion', 'from tf_resflow import benchmarking'),
    ('training', 'from tf_resflow import commands'),
    ('datasets', 'from tf_resflow import models'),
    ('datasets', 'from tf_resflow import numerics'),
    ('errors', 'from tf_resflow import configuration'),
    ('configuration', 'from tf_resflow import private_apis, numerics'),
    ('configuration', 'import tensorflow as tf'),
    ('numerics', 'import keras'),
    ('models', 'import tf_keras'),
])
def test_wrong_direction(tree, room, source):
  (tree / f'tf_resflow/{room}/a.py').write_text(source + '\n')
  status, text = lint(tree)
  assert status == 1 and f'tf_resflow.{room}' in text, text


def test_new_rooms_have_to_be_placed(tree):
  (tree / 'tf_resflow/misc.py').touch()
  status, text = lint(tree)
  assert status == 1 and 'misc' in text, text
