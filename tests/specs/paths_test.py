"""Paths that are refused in one line, before anything is read or written."""

import os

import pytest

from tests import testing
from tf_resflow.specs import paths


@pytest.mark.reliability(promise='bad-path')
def test_paths_that_are_no_local_ones(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'file').touch()
  (tmp_path / 'dangling').symlink_to('gone')
  (tmp_path / 'circle').symlink_to('circle')
  (tmp_path / 'link').symlink_to('.')
  before = sorted(os.listdir())
  testing.check_refusals(lambda path: paths.check_folder('workdir', path), [
      ('gs://bucket/run', 'workdir=gs://bucket/run: expected a local path. It'),
      (f'file://{tmp_path}', '...expected a local path. It is a URL'),
      ('~/run', 'workdir=~/run: expected a path without ~ in front. Write'),
      ('dangling', 'workdir=dangling: expected a path that exists or is new. '
       'It is a link to gone, which does not exist: restore'),
      ('circle', '...It is a link to circle'),
      ('file', 'workdir=file: expected a folder. It is a file.'),
      ('file/run', 'workdir=file/run: expected a folder. file is a file.')])
  for path in ('link', 'link/new', 'new/folder', '.', str(tmp_path), tmp_path,
               './~'):
    paths.check_folder('workdir', path, writes=True)
  assert sorted(os.listdir()) == before


@pytest.mark.reliability(promise='bad-path')
def test_permissions(tmp_path, monkeypatch):
  """As those of another user: nothing is forbidden to root."""
  granted = [os.F_OK]
  monkeypatch.setattr(os, 'access', lambda path, mode: not mode & ~granted[0])
  run, new = tmp_path, tmp_path / 'new'
  end = f'Change the permissions of {run}, or take another folder.'
  for granted[0], path, writes, verb in (
      (os.R_OK, run, False, 'read'), (os.X_OK, run, False, 'read'),
      (os.R_OK, new, True, 'read'),
      (os.R_OK | os.X_OK, run, True, 'write to'),
      (os.X_OK, new, True, 'write to')):
    testing.check_refusal(
        paths.check_folder,
        {'name': 'workdir', 'path': path, 'writes': writes},
        f'workdir={path}: expected a folder that you may {verb}. {end}')
  for granted[0], path, writes in (
      (os.R_OK | os.X_OK, run, False), (os.X_OK, new, False),
      (os.W_OK | os.X_OK, new, True)):
    paths.check_folder('workdir', path, writes)
