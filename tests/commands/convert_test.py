"""bin/convert, and what the other tools make of its workdirs."""

import sys

import numpy as np
import pytest

from tests.commands import results
from tests.conversion import checkpoints
from tests.training import runs
from tf_resflow import conversion
from tf_resflow import training


@pytest.fixture(scope='module')
def made(tmp_path_factory):
  """A folder with a checkpoint, and what it was made of."""
  folder = tmp_path_factory.mktemp('convert')
  return folder, checkpoints.write(
      folder / 'model.pth', 'grey', legacy=True, nblocks='1-1', fc_end=False)


def test_trained_weights_without_torch(run_tool, made, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'torch', None)
  result = run_tool(
      'convert', f'--checkpoint={made[0]}/model.pth',
      f'--workdir={tmp_path}/raw', '--weights=raw')
  report = results.report(result)
  assert report['weights'] == 'raw'
  assert report['num_parameters'] == sum(
      value.size for name, value in made[1].raw.items()
      if name.rpartition('.')[2] in ('weight', 'bias', 'beta'))
  assert 'recorded_test_bits_per_dim' in result.stderr
  model, _ = training.workdir.restore_model(f'{tmp_path}/raw', dtype='float64')
  x = checkpoints.images(made[1])
  z = conversion.to_channels_first(model, model(x))
  np.testing.assert_allclose(z, made[1].expected('raw', x)['z'], atol=1e-3)


def test_latents_in_the_order_of_the_authors(run_tool, made, tmp_path):
  x = checkpoints.images(made[1], num_images=2)
  np.savez(tmp_path / 'x.npz', x=x)
  conversion.convert(made[0] / 'model.pth', tmp_path / 'w')
  report = results.report(run_tool(
      'score', f'--workdir={tmp_path}/w', f'--inputs={tmp_path}/x.npz',
      '--estimator=fixed:1', f'--output={tmp_path}/y.npz', '--nocertify'))
  assert report['latent_order'] == 'channels_first'
  expected = made[1].expected('ema', x)['z']
  np.testing.assert_allclose(
      results.arrays(tmp_path / 'y.npz')['z'], expected,
      atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_fine_tuning(run_tool, made, data_dir, tmp_path):
  """Other data and another schedule, from the converted weights."""
  folder = tmp_path / 'w'
  report = results.report(run_tool(
      'convert', f'--checkpoint={made[0]}/model.pth', f'--workdir={folder}'))
  assert report['weights'] == 'ema'
  train = [
      'train', f'--flagfile={folder}/run.flags', f'--workdir={folder}',
      f'--data_dir={data_dir}', '--dataset=digits', '--learning_rate=0.002',
      '--batch_size=32', '--log_every=1', '--sample_every=0',
      '--noevaluate_at_end', '--num_steps=3']
  result = run_tool(*train)
  assert result.status == 0, result.stderr
  # The folder now describes the model of these data, of 17 levels.
  model, step = training.workdir.restore_model(str(folder))
  assert (step, model.num_levels) == (3, 17)
  # These weights have never seen digits: what they say is far off at first,
  # by bits more than if the first batch had initialised them.
  bits = [float(row['bits_per_dim']) for row in runs.rows(folder)]
  assert len(bits) == 3 and 6.0 < bits[-1] < bits[0]


def test_bad_input(run_tool, made):
  folder, _ = made
  results.check_error(
      run_tool('convert', f'--checkpoint={folder}/model.pth',
               f'--workdir={folder}'),
      f'convert: error: --workdir={folder}: expected a new or empty')
  assert [path.name for path in folder.iterdir()] == ['model.pth']
