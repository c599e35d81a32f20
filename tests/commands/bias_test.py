"""bin/bias: numbers of the Python API, its figure, and what it refuses."""

import shutil

import pytest

from tests.commands import results
from tf_resflow import configuration
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.experiments import bias


@pytest.fixture(scope='module')
def biased_workdir(digits_workdir, tmp_path_factory):
  """The weights of the digits flow, as an i-ResNet with one validation."""
  model, _ = training.workdir.restore_model(str(digits_workdir))
  config = training.load_config(str(digits_workdir)).replace(
      estimator='fixed:1')
  biased = config.model.build()
  biased.set_weights(model.get_weights())
  folder = tmp_path_factory.mktemp('runs') / 'biased'
  training.workdir.create_workdir(str(folder), config, biased)
  _write_metrics(folder, 'biased_bits_per_dim')
  return folder


def _write_metrics(folder, name, validation='validation_bits_per_dim'):
  with training.metrics.MetricsWriter(folder) as writer:
    writer.write(1, {name: 2.5})
    writer.write(2, {name: 2.0, validation: 2.25})


@pytest.mark.slow
def test_runs_are_compared_and_drawn(
    run_tool, biased_workdir, digits_workdir, tmp_path):
  unbiased = shutil.copytree(digits_workdir, tmp_path / 'unbiased')
  _write_metrics(unbiased, 'bits_per_dim')
  output = tmp_path / 'bias.png'
  result = run_tool(
      'bias', f'--workdirs={biased_workdir},{unbiased}', '--estimator=exact',
      '--num_examples=10', '--seed=3', f'--output={output}',
      '--strategy=single')
  report = results.report(result)
  assert output.read_bytes().startswith(b'\x89PNG')
  assert report['split'] == 'train'
  assert {run['estimator'] for run in report['runs'].values()} == {'exact'}
  assert list(report['runs']) == [str(biased_workdir), str(unbiased)]
  biased, other = report['runs'].values()
  assert [biased['training_estimator'], other['training_estimator']] == [
      numerics.Estimator.get(spec).spec()
      for spec in ('fixed:1', 'roulette:poisson:2,exact=2')]
  # The weights are the same.
  assert biased['bits_per_dim'] == other['bits_per_dim']
  model, _ = training.workdir.restore_model(str(biased_workdir))
  split = training.load_config(str(biased_workdir)).open_split('train')
  expected = bias.measure_bias(
      model, split, estimator=numerics.Exact(), num_examples=10, seed=3,
      batch_size=64)
  assert expected.items() <= biased.items()
  assert f'\n{biased_workdir}.bias ' in result.stderr


def test_bad_input(
    run_tool, biased_workdir, digits_workdir, table_workdir, tmp_path):
  config = configuration.make_config(
      num_blocks=(1,), hidden_channels=4, num_dense_blocks=0)
  other = tmp_path / 'other'
  training.workdir.create_workdir(str(other), config, config.model.build())
  vectors = shutil.copytree(table_workdir, tmp_path / 'vectors')
  _write_metrics(vectors, 'nats', 'validation_nats')
  two, picture = f'{biased_workdir},{biased_workdir}/.', f'{other}/a.png'
  results.check_errors(run_tool, 'bias', [
      (['--estimator=fixed:10'], '--estimator=fixed:10: expected an unbiased '),
      ([f'--workdirs={two}'], f'--workdirs={two}: expected different folders.'),
      ([f'--workdirs={biased_workdir},{other}'],
       f'--workdirs={biased_workdir},{other}: expected runs on the same data. '
       'Theirs differ in num_validation.'),
      ([f'--output={picture}', f'--workdirs={digits_workdir}'],
       f'--workdirs={digits_workdir}: expected runs with validations'),
      ([f'--output={picture}', f'--workdirs={vectors}'],
       f'--output={picture}: expected no figure of runs on vectors'),
  ], f'--workdirs={biased_workdir}')
