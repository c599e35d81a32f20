"""bin/train on bad input: one clear line, a status, and nothing written."""

import os
import pathlib
import subprocess
import sys

import pytest

from tf_resflow import configuration
from tf_resflow.training import workdir as workdir_lib

_ROOT = pathlib.Path(__file__).resolve().parents[2]

# Flags, and what the line says.
_BAD = {
    'dataset': (
        ['--dataset=imagenet'], "--dataset is 'imagenet'; expected one of dig"),
    'image_size': (
        ['--image_size=32'],
        '--image_size is 32, but the images of digits are 8 x 8;'),
    'coeff': (
        ['--lipschitz_coeff=1'], '--lipschitz_coeff is 1.0; it must lie'),
    'activation': (
        ['--activation=tanh'], "--activation is 'tanh'; expected one of lips"),
    'batch_size': (
        ['--batch_size=0'], '--batch_size is 0; it must be 1 or more.'),
    'replicas': (
        ['--batch_size=3', '--strategy=mirrored'],
        '--batch_size is 3, which 2 replicas cannot share equally;'),
    'learning_rate': (
        ['--learning_rate=-0.001'],
        '--learning_rate is -0.001; it must be positive'),
    'num_blocks': (
        ['--num_blocks=2,x'], "--num_blocks is '2,x'; expected comma-sep"),
    'num_validation': (
        ['--num_validation=2000'], '--num_validation=2000: the training part'),
    'evaluate_every': (
        ['--evaluate_every=5'],
        '--evaluate_every is 5 but --num_validation is 0;'),
    'argument': (
        ['digits'], "unexpected argument 'digits'; every option is a flag"),
}


def _assert_one_line(result, start):
  """Checks an error of ours: one line, status 2."""
  assert result.status == 2
  lines = result.stderr.splitlines()
  assert len(lines) == 1, result.stderr
  assert lines[0].startswith(f'train: error: {start}'), lines[0]
  assert result.stdout == ''


@pytest.mark.parametrize('case', _BAD)
def test_bad_flags(run_tool, tmp_path, data_dir, case):
  arguments, start = _BAD[case]
  workdir = tmp_path / 'run'
  result = run_tool(
      'train', f'--workdir={workdir}', f'--data_dir={data_dir}',
      '--num_blocks=1', '--hidden_channels=4', *arguments)
  _assert_one_line(result, start)
  assert not workdir.exists()


def test_missing_data(run_tool, tmp_path):
  missing = tmp_path / 'data_dir'
  result = run_tool(
      'train', f'--workdir={tmp_path / "run"}', '--dataset=cifar10',
      f'--data_dir={missing}', '--num_blocks=1', '--hidden_channels=4')
  _assert_one_line(result, "no data set 'cifar10': the folder ")
  # The flag has its dashes, the path is left alone.
  assert f'the folder {missing} does not exist' in result.stderr
  assert 'pass the --data_dir that holds it' in result.stderr
  assert list(tmp_path.iterdir()) == []


def test_workdir_of_another_configuration(run_tool, tmp_path, data_dir):
  workdir_lib.prepare(
      str(tmp_path), configuration.make_config(seed=1, data_dir=data_dir))
  before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
  result = run_tool(
      'train', f'--workdir={tmp_path}', f'--data_dir={data_dir}', '--seed=2')
  _assert_one_line(result, f'--workdir {tmp_path} holds a run of another')
  assert '--seed was 1 and is 2. Use the same flags' in result.stderr
  assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_foreign_workdirs(run_tool, tmp_path, data_dir):
  file = tmp_path / 'file'
  file.write_text('important')
  result = run_tool('train', f'--workdir={file}', f'--data_dir={data_dir}')
  _assert_one_line(result, f'--workdir is {file}, which is a file;')
  result = run_tool('train', f'--workdir={tmp_path}')
  _assert_one_line(result, f'--workdir {tmp_path} is not empty and holds no')
  result = run_tool(
      'train', f'--workdir={file}/run', f'--data_dir={data_dir}',
      '--num_blocks=1', '--hidden_channels=4')
  assert result.status == 2 and 'Not a directory' in result.stderr
  assert file.read_text() == 'important'


@pytest.mark.parametrize(('arguments', 'said'), [
    (['--workdir=/nowhere', '--batch_size=abc'],
     "flag --batch_size=abc: invalid literal for int() with base 10: 'abc'"),
    (['--workdir=/nowhere', '--batchsize=3'],
     "Unknown command line flag 'batchsize'. Did you mean: batch_size"),
    (['--workdir=/nowhere', '--flagfile=/no/such.flags'], '/no/such.flags'),
    ([], 'flag --workdir=None: Flag --workdir must have a value other than'),
])
def test_what_absl_refuses(run_tool, arguments, said):
  result = run_tool('train', *arguments)
  assert result.status == 1
  assert 'Traceback' not in result.stderr
  assert said in result.stdout + result.stderr
  assert not os.path.exists('/nowhere')


def test_help_lists_every_flag(run_tool):
  result = run_tool('train', '--help')
  assert result.stdout.startswith('Trains a Residual Flow on images')
  assert '--[no]evaluate_at_end' in result.stdout
  for name in ('workdir', 'num_blocks', 'learning_rate', 'strategy'):
    assert f'  --{name}: ' in result.stdout
  assert '--[no]jit_compile: ' in result.stdout


def test_real_process(tmp_path):
  """Also the start-up is quiet: nothing but the line."""
  result = subprocess.run(
      [sys.executable, 'bin/train', '--lipschitz_coeff=1.5',
       f'--workdir={tmp_path / "run"}'], cwd=_ROOT, capture_output=True,
      text=True, check=False)
  assert result.returncode == 2
  assert result.stdout == ''
  lines = result.stderr.splitlines()
  assert lines[-1].startswith('train: error: --lipschitz_coeff is 1.5; it')
  assert 'Traceback' not in result.stderr
  assert list(tmp_path.iterdir()) == []
