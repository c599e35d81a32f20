"""bin/fid: its JSON, what it says of small samples and what it refuses."""

import keras
import pytest

from tests.commands import results


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
  return ('fid', f'--workdir={workdir}', f'--inception={network}', *flags)


def test_report(run_tool, digits_workdir, network):
  reports = []
  for flags in (['--num_samples=60'], ['--num_samples=22', '--num_images=100']):
    result = run_tool(*_command(
        digits_workdir, network, '--split=test', '--temperature=0.5', *flags))
    reports.append(results.report(result))
    # Less than 25 samples leave the covariance of 24 features singular.
    assert ('note: 22 images or samples span no more than 21 of 24 dimensions'
            in result.stderr) == (reports[-1]['num_samples'] == 22)
  first, second = reports
  assert first['fid'] > 0.0 and first['kid_stderr'] > 0.0
  assert first['inception'] == str(network)
  assert (first['split'], first['num_images'], second['num_images'],
          first['num_features'], first['temperature'], first['seed']) == (
              'test', 360, 100, 24, 0.5, 0)
  assert (first['input_size'], first['image_size'], first['input_range'],
          first['channels']) == ([16, 16], [8, 8], [-1.0, 1.0],
                                 '1 repeated to 3')
  assert first['inverse_num_steps_max'] > 1


def test_without_a_network_it_says_what_to_get(run_tool, digits_workdir):
  results.check_error(
      run_tool('fid', f'--workdir={digits_workdir}'), 'fid: error: --inception '
      'is missing. The feature network: a .keras or .h5 file, or the folder of '
      "a SavedModel, such as TF-GAN's Inception, or the file that "
      'keras.applications.InceptionV3(include_top=False')


@pytest.mark.parametrize(('change', 'said'), [
    (['--inception=/none.keras'], '--inception=/none.keras: expected '),
    (['--feature_name=pool', '--num_samples=20'],
     '--feature_name=pool: expected '),
    (['--input_size=32'], '--input_size=32: expected '),
    (['--input_range=0'], '--input_range=0.0: expected two numbers that rise'),
    (['--num_samples=19'], '--num_samples=19: expected '),
    (['--num_images=361'], '--num_images=361: expected at most 360'),
])
def test_bad_input(run_tool, digits_workdir, network, change, said):
  result = run_tool(*_command(
      digits_workdir, network, '--split=test', *change))
  assert result.status == 2
  assert result.stderr.splitlines()[-1].startswith(f'fid: error: {said}'), (
      result.stderr)
  assert 'Traceback' not in result.stderr
