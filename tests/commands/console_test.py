"""The console script and the launchers of bin/."""

import os
import sys

import pytest

from tests.commands import processes
from tf_resflow.commands import console


@pytest.mark.parametrize('name', console.TOOLS)
def test_launchers_are_alike(name):
  folder = processes.ROOT / 'bin'
  text = (folder / name).read_text()
  assert text == (folder / 'train').read_text()
  assert len(text.splitlines()) < 15


def test_a_launcher_for_every_tool():
  launchers = {p.name for p in (processes.ROOT / 'bin').iterdir()
               if p.is_file() and os.access(p, os.X_OK)}
  assert launchers == set(console.TOOLS)


def _console(capsys, monkeypatch, *arguments):
  monkeypatch.setattr(sys, 'argv', ['tf_resflow', *arguments])
  with pytest.raises(SystemExit) as info:
    console.main()
  return info.value.code or 0, *capsys.readouterr()


@pytest.mark.parametrize('arguments', [[], ['--help']])
def test_overview(capsys, monkeypatch, arguments):
  status, stdout, stderr = _console(capsys, monkeypatch, *arguments)
  assert (status, stderr) == (0, '')
  for name in console.TOOLS:
    assert f'\n  {name:12}' in stdout


def test_console_tools(capsys, monkeypatch):
  status, stdout, _ = _console(capsys, monkeypatch, 'convert', '--help')
  assert status == 0
  assert '\n  tf_resflow convert --checkpoint=' in stdout
  assert 'bin/' not in stdout
  status, stdout, stderr = _console(capsys, monkeypatch, 'paint')
  assert (status, stdout) == (2, '')
  assert stderr.startswith('tf_resflow: error: paint is no tool; expected one')
