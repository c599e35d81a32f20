"""Flagfiles by name or path."""

import pytest

from tf_resflow import errors
from tf_resflow.commands import flagfiles


def test_names():
  assert {'digits', 'cifar10', 'mnist5k'} <= set(flagfiles.names())


@pytest.mark.parametrize('value', ['digits', 'digits.flags'])
def test_names_stand_for_the_files_of_the_package(value, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (argument,) = flagfiles.resolve([f'--flagfile={value}'])
  path = argument.removeprefix('--flagfile=')
  with open(path, encoding='utf-8') as file:
    assert '--dataset=digits\n' in file.read()


def test_a_path_that_exists_wins(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'digits').write_text('--dataset=mnist\n')
  assert flagfiles.resolve(['--flagfile=digits']) == ['--flagfile=digits']
  assert flagfiles.resolve(['a', '-flagfile', 'digits', '--b']) == [
      'a', '--flagfile=digits', '--b']


@pytest.mark.parametrize('value', [
    'none', '', '/none/digits.flags', 'folder', 'binary'])
def test_what_is_no_file_of_flags(value, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'folder').mkdir()
  (tmp_path / 'binary').write_bytes(b'\xff\xfe\x00')
  with pytest.raises(errors.InvalidValueError) as info:
    flagfiles.resolve([f'--flagfile={value}'])
  assert str(info.value).startswith(
      f'flagfile={value}: expected a file of flags')
