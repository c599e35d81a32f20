"""bin/convert, and what the other tools make of its workdirs."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from tests.commands import processes
from tests.commands import results
from tests.conversion import checkpoints
from tf_resflow import conversion
from tf_resflow import training


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A folder with a checkpoint, and what it was made of."""
  folder = tmp_path_factory.mktemp('convert')
  return folder, checkpoints.write(
      folder / 'model.pth', 'grey', legacy=True, nblocks='1-1', fc_end=False)


@pytest.fixture(scope='module')
def workdir(made):
  """Converted by a real process that cannot import torch."""
  folder, _ = made
  blocked = folder / 'blocked'
  blocked.mkdir()
  (blocked / 'torch.py').write_text('raise ImportError("torch is not needed")')
  process = subprocess.run(
      [sys.executable, 'bin/convert', f'--checkpoint={folder}/model.pth',
       f'--workdir={folder}/w'], cwd=processes.ROOT, capture_output=True,
      text=True, check=False, env={'PYTHONPATH': str(blocked), 'PATH': ''})
  assert process.returncode == 0, process.stderr
  report = json.loads(process.stdout.splitlines()[-1])
  assert report['weights'] == 'ema'
  assert report['num_parameters'] == sum(
      value.size for name, value in made[1].raw.items()
      if name.rpartition('.')[2] in ('weight', 'bias', 'beta'))
  assert 'recorded_test_bits_per_dim' in process.stderr
  return folder / 'w'


@pytest.mark.slow
def test_evaluate_inputs_exactly(run_tool, made, workdir, tmp_path):
  x = checkpoints.images(made[1], num_images=5)
  np.savez(tmp_path / 'x.npz', x=x, label=np.arange(5))
  result = run_tool(
      'evaluate', f'--workdir={workdir}', f'--inputs={tmp_path}/x.npz',
      '--estimator=exact', f'--output={tmp_path}/y.npz', '--batch_size=2')
  assert result.status == 0, result.stderr
  report = json.loads(result.stdout.splitlines()[-1])
  expected = made[1].expected('ema', x)
  # Of the density of x; the oracle's is of integers.
  expected['log_prob'] = expected['log_prob_base'] + expected['log_det']
  with np.load(tmp_path / 'y.npz') as found:
    np.testing.assert_allclose(
        found['z'], expected['z'],
        atol=1e-4 * np.abs(expected['z']).max())
    for name in ('log_det', 'log_prob', 'bits_per_dim'):
      assert found[name].shape == (5,)
      np.testing.assert_allclose(found[name], expected[name], rtol=2e-5)
  np.testing.assert_allclose(
      report['bits_per_dim'], expected['bits_per_dim'].mean(), rtol=2e-5)
  assert report['estimator_stderr'] == 0.0
  assert (report['num_examples'], report['latent_order'], report['dtype']) == (
      5, 'channels_first', 'float64')
  assert report['reconstruction_error_max'] < 1e-4


def test_trained_weights(run_tool, made, tmp_path):
  result = run_tool(
      'convert', f'--checkpoint={made[0]}/model.pth',
      f'--workdir={tmp_path}/raw', '--weights=raw')
  assert result.status == 0, result.stderr
  model, _ = training.load_model(f'{tmp_path}/raw', dtype='float64')
  x = checkpoints.images(made[1])
  z = conversion.to_channels_first(model, model(x))
  np.testing.assert_allclose(z, made[1].expected('raw', x)['z'], atol=1e-3)


def test_fine_tuning(run_tool, made, workdir, data_dir, tmp_path):
  """Other data and another schedule, from the converted weights."""
  folder = tmp_path / 'w'
  result = run_tool(
      'convert', f'--checkpoint={made[0]}/model.pth', f'--workdir={folder}')
  assert result.status == 0, result.stderr
  train = [
      'train', f'--flagfile={folder}/run.flags', f'--workdir={folder}',
      f'--data_dir={data_dir}', '--dataset=digits', '--learning_rate=0.002',
      '--batch_size=32', '--log_every=1', '--sample_every=0',
      '--checkpoint_every=3', '--noevaluate_at_end']
  # Another model is refused.
  result = run_tool(*train, '--num_steps=2', '--hidden_channels=4')
  assert result.status == 2
  assert 'hidden_channels is 4, not 3' in result.stderr, result.stderr
  result = run_tool(*train, '--num_steps=3')
  assert result.status == 0, result.stderr
  # The folder now describes the model of these data, of 17 levels.
  model, step = training.load_model(str(folder))
  assert (step, model.num_levels) == (3, 17)
  # From here on it is a run like any other.
  result = run_tool(*train, '--num_steps=3', '--learning_rate=0.5')
  assert result.status == 2
  assert 'learning_rate was 0.002 and is 0.5' in result.stderr
  result = run_tool(*train, '--num_steps=6')
  assert result.status == 0, result.stderr
  with open(folder / 'metrics.csv', encoding='utf-8') as f:
    rows = list(csv.DictReader(f))
  assert [int(row['step']) for row in rows] == [1, 2, 3, 4, 5, 6]
  # These weights have never seen digits: what they say is far off at first.
  bits = [float(row['bits_per_dim']) for row in rows]
  assert bits[-1] < bits[0]


def test_unsupported_switches(run_tool, tmp_path):
  content = checkpoints.content(checkpoints.make('grey'))
  content['args'].state['batchnorm'] = True
  checkpoints.torch_writer.save_zip(tmp_path / 'model.pth', content)
  result = run_tool(
      'convert', f'--checkpoint={tmp_path}/model.pth',
      f'--workdir={tmp_path}/w')
  results.check_error(
      result, 'convert: error: checkpoint.args.batchnorm=True: expected False.')
  assert not (tmp_path / 'w').exists()


def test_workdir_is_not_overwritten(run_tool, made, workdir):
  result = run_tool(
      'convert', f'--checkpoint={made[0]}/model.pth', f'--workdir={workdir}')
  results.check_error(
      result, f'convert: error: --workdir={workdir}: expected a new or empty')
