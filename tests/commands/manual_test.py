"""`--help` teaches, and needs no TensorFlow; neither do errors of flags."""

import importlib
import json
import subprocess
import sys

import pytest

from tests.commands import processes
from tf_resflow.commands import manual
from tf_resflow.commands import runner
from tf_resflow.configuration import flags as flags_lib

# Everything that a tool does without work, and what it imports for that.
_SCRIPT = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
from tf_resflow.commands import runner
texts = {}
for name in runner.TOOLS:
  for arguments in (['--help'], ['--no_such_flag=1'],
                    ['--workdir=nowhere', '--output=x.png']):
    with contextlib.redirect_stdout(io.StringIO()) as text, (
        contextlib.redirect_stderr(text)):
      if arguments[0] != '--workdir=nowhere' or name in sys.argv[2:]:
        status = runner.run(name, arguments)
    texts[f'{name} {arguments[0]}'] = status, text.getvalue()
heavy = {'tensorflow', 'keras', 'tensorflow_probability', 'sklearn',
         'matplotlib', 'tensorflow_datasets'} & set(sys.modules)
print(json.dumps([sorted(heavy), texts]))
"""
# Some tools that open a run.
_OF_RUNS = ('sample', 'export')


@pytest.fixture(scope='module')
def shown(tmp_path_factory):
  """What all tools show in a process of their own."""
  process = subprocess.run(
      [sys.executable, '-c', _SCRIPT, str(processes.ROOT), *_OF_RUNS],
      check=True,
      capture_output=True, text=True, cwd=tmp_path_factory.mktemp('folder'))
  return json.loads(process.stdout)


def test_nothing_heavy_is_imported(shown):
  assert shown[0] == []


@pytest.mark.parametrize('name', _OF_RUNS)
def test_a_folder_without_a_run_is_noticed_at_once(shown, name):
  assert shown[1][f'{name} --workdir=nowhere'] == [
      2, f'{name}: error: --workdir=nowhere: expected the folder of a run. '
      'There is no run.flags; train one with bin/train.\n']


@pytest.mark.parametrize('name', runner.TOOLS)
def test_help(shown, name):
  status, text = shown[1][f'{name} --help']
  assert status == 0
  tool = importlib.import_module(f'tf_resflow.commands.{name}')
  summary, _, rest = text.partition('\n\n')
  assert summary == manual.summary(tool)
  # Examples first.
  assert rest.startswith(f'  bin/{name} --')
  for field in tool.Options.flag_fields():
    flag = f'[no]{field.flag}' if field.element is bool else field.flag
    assert text.count(f'\n  --{flag}: ') == 1, flag
  assert '\nEvery tool:\n  --flagfile: ' in text
  assert 'digits' in text.rpartition('Flagfiles that come with')[2]
  assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize('name', ['train', 'benchmark', 'scaling'])
def test_help_has_the_whole_configuration(shown, name):
  _, text = shown[1][f'{name} --help']
  for flag in flags_lib.by_name():
    assert text.count(f'\n  --{flag}: ') + text.count(
        f'\n  --[no]{flag}: ') == 1, flag
  for title in ('The data set', 'The type of the model:', 'Batches and upd'):
    assert f'\n{title}' in text


def test_errors_of_flags(shown):
  status, text = shown[1]['train --no_such_flag=1']
  assert status == 2
  assert text.startswith('train: error: --no_such_flag is no flag of this tool')
