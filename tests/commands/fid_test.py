"""bin/fid: its JSON, what it says of small samples and what it refuses."""

import keras
import pytest

from tests.commands import results
from tf_resflow import evaluation


@pytest.fixture(scope='module')
def network(tmp_path_factory):
  """A file of a network with 24 features of 16 x 16 colour images."""
  path = tmp_path_factory.mktemp('network') / 'network.keras'
  keras.Sequential([
      keras.Input((16, 16, 3)),
      keras.layers.Conv2D(24, 3, activation='relu',
                          kernel_initializer=keras.initializers.HeNormal(1)),
      keras.layers.GlobalAveragePooling2D(),
  ]).save(path)
  return path


def _command(workdir, network, *flags):
  return ('fid', f'--workdir={workdir}', f'--inception={network}',
          '--split=test', *flags)


def test_report(run_tool, digits_workdir, network):
  report = results.report(run_tool(*_command(
      digits_workdir, network, '--temperature=0.5', '--num_images=100')))
  assert report['fid'] > 0.0 and report['kid_stderr'] > 0.0
  assert report['inception'] == str(network)
  assert (report['split'], report['num_images'], report['num_samples'],
          report['num_features'], report['temperature'], report['seed']) == (
              'test', 100, 100, 24, 0.5, 0)
  assert report['inverse_num_steps_max'] > 1


def test_few_samples_leave_a_covariance_singular(
    run_tool, digits_workdir, network, monkeypatch):
  """That of 24 features needs 25."""
  monkeypatch.setattr(
      evaluation, 'compare_samples',
      lambda model, split, extractor, num_samples, **_: {
          'num_images': 100, 'num_samples': num_samples, 'num_features': 24})
  for num_samples in (24, 25):
    result = run_tool(*_command(
        digits_workdir, network, f'--num_samples={num_samples}'))
    results.report(result)
    assert ('note: 24 images or samples span no more than 23 of 24 dimensions'
            in result.stderr) == (num_samples == 24)


def test_bad_input(run_tool, digits_workdir, table_workdir, network):
  workdir = f'--workdir={digits_workdir}'
  # It says what to get.
  results.check_error(
      run_tool('fid', workdir), 'fid: error: --inception is missing. The')
  results.check_errors(run_tool, 'fid', [
      (['--feature_name=pool'], '--feature_name=pool: expected '),
      ([f'--workdir={table_workdir}'], f'--workdir={table_workdir}: expected '),
  ], *_command(digits_workdir, network)[1:])
