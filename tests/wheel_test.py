"""The tools of a wheel, installed beside nothing else of the checkout."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.commands import processes
from tf_resflow.commands import runner
from tf_resflow.configuration import flagfiles

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def installed(tmp_path_factory):
  """A folder with the package and its console script."""
  folder = tmp_path_factory.mktemp('wheel')
  # A copy, since building leaves files behind.
  source = folder / 'source'
  source.mkdir()
  for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE'):
    shutil.copy(processes.ROOT / name, source)
  for name in ('tf_resflow', 'bin'):
    shutil.copytree(processes.ROOT / name, source / name)
  pip = [sys.executable, '-m', 'pip', '--disable-pip-version-check']
  subprocess.run(
      [*pip, 'wheel', '--no-deps', '--no-build-isolation', '--no-index',
       f'--wheel-dir={folder}', str(source)], check=True, capture_output=True)
  (wheel,) = folder.glob('*.whl')
  subprocess.run(
      [*pip, 'install', '--no-deps', '--no-index',
       f'--target={folder / "site"}', str(wheel)], check=True,
      capture_output=True)
  return folder / 'site'


@pytest.fixture
def run(installed, tmp_path):
  """Returns a function that runs `tf_resflow ...` in an empty folder."""

  def run(*arguments, command=('-m', 'tf_resflow')):
    env = os.environ | {'PYTHONPATH': str(installed)}
    env.pop('TF_CPP_MIN_LOG_LEVEL', None)
    return subprocess.run(
        [sys.executable, *command, *arguments], cwd=tmp_path, env=env,
        capture_output=True, text=True, check=False)

  return run


def test_the_installed_package_is_meant(run, installed):
  process = run(command=('-c', 'import tf_resflow; print(tf_resflow.__file__)'))
  assert process.stdout.startswith(str(installed))


def test_the_script_lists_the_tools(run, installed):
  process = run('--help', command=(str(installed / 'bin' / 'tf_resflow'),))
  assert (process.returncode, process.stderr) == (0, '')
  for name in runner.TOOLS:
    assert f'\n  {name} ' in process.stdout


def test_help(run):
  """Of one tool; tests/commands/runner_test.py has them all."""
  process = run('sample', '--help')
  assert (process.returncode, process.stderr) == (0, '')
  assert '\n  tf_resflow sample --' in process.stdout
  listed = run('flagfiles').stdout
  assert all(name in listed for name in flagfiles.names())


def test_presets(run):
  process = run(command=(
      '-c', "import tf_resflow; print(tf_resflow.load('preset:cancer'))"))
  assert 'VectorFlow: mean radius, ' in process.stdout, process.stderr


def test_train_and_evaluate(run):
  """By the name of a flagfile."""
  process = run(
      'train', '--flagfile=digits', '--workdir=run', '--num_blocks=1',
      '--hidden_channels=4', '--num_dense_blocks=0', '--num_steps=2',
      '--warmup_steps=0', '--noevaluate_at_end')
  assert process.returncode == 0, process.stderr
  # This package's messages, and nothing of TensorFlow's.
  assert len(process.stderr.splitlines()) == 3, process.stderr
  process = run('evaluate', '--workdir=run', '--num_examples=8', '--nocertify')
  assert process.returncode == 0, process.stderr
  assert json.loads(process.stdout.splitlines()[-1])['num_examples'] == 8


def test_processes_of_a_benchmark_are_of_the_installed_package(run):
  process = run(
      'benchmark', '--flagfile=digits', '--num_blocks=1', '--hidden_channels=4',
      '--num_dense_blocks=0', '--batch_size=4', '--tasks=train',
      '--num_repeats=0')
  assert process.returncode == 0, process.stderr
  assert json.loads(process.stdout)['first_step_s'] > 0.0
