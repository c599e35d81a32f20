"""bin/baselines: its JSON, its file and what it refuses."""

import numpy as np
from scipy import stats

from tests.commands import results
from tf_resflow.evaluation import example_files


def test_report_and_file(run_tool, tmp_path):
  dataset, path = f'array:{tmp_path}/own.npz', tmp_path / 'bits.npz'
  # Neighbours are alike: less than the eight bits of independent levels.
  x = np.random.default_rng(0).integers(0, 32, [150, 2, 3, 1]).cumsum(axis=2)
  np.savez(tmp_path / 'own.npz', x=x.astype(np.uint8))
  result = run_tool(
      'baselines', f'--dataset={dataset}', '--num_components=2',
      '--num_noise_draws=1', f'--output={path}')
  report = results.report(result)
  assert (report['dataset'], report['num_train']) == (dataset, 120)
  bits = example_files.read_bits(
      path, 30, {'dataset': dataset, 'split': 'test', 'num_levels': 256,
                 'image_shape': (2, 3, 1)})
  assert bits.keys() == report['baselines'].keys() == {
      'gaussian', 'gaussian_raw', 'gaussian_mixture', 'gaussian_mixture_raw'}
  for name, entry in report['baselines'].items():
    assert f'{name}.bits_per_dim ' in result.stderr
    assert entry['num_examples'] == 30
    np.testing.assert_allclose(bits[name].mean(), entry['bits_per_dim'])
    np.testing.assert_allclose(
        bits[name].std(ddof=1) / np.sqrt(30), entry['bits_per_dim_stderr'])
    assert 4.0 < entry['bits_per_dim'] < 8.0


def test_vectors(run_tool, table):
  for flags, num_components in (([], 1), (['--num_components=2'], 2)):
    report = results.report(run_tool(
        'baselines', f'--dataset=table:{table}', *flags))
    assert report['num_train'] == 80
    assert {name: entry['num_components'] for name, entry in report[
        'baselines'].items()} == {
            'gaussian': 1, 'gaussian_mixture': num_components}


def test_columns_are_mapped_by_their_types(run_tool, tmp_path, caplog):
  """As those of flows: a log-normal number is Gaussian."""
  x = np.random.default_rng(0).lognormal(1.0, 2.0, [900, 1])
  for name, rows in (('own', x[:600]), ('test', [*x[600:], [-1.0]])):
    np.savetxt(tmp_path / f'{name}.csv', rows, header='a', comments='')
  result = run_tool(
      'baselines', f'--dataset=table:{tmp_path}/own.csv',
      f'--test_file={tmp_path}/test.csv', '--num_components=1')
  found = results.report(result)['baselines']['gaussian']
  assert '1 of 301 rows have no density' in caplog.text
  assert found['num_examples'] == 300
  np.testing.assert_allclose(
      found['nats'], -stats.lognorm(2.0, scale=np.exp(1.0)).logpdf(
          x[600:]).mean(), atol=0.02)


def test_bad_input(run_tool):
  results.check_errors(run_tool, 'baselines', [
      (['--num_bits=3'], '--num_bits=3 cannot be used with dataset=digits. It'),
      (['--dataset=2d/moons', '--output=x.npz'],
       '--output cannot be used with --dataset=2d/moons'),
  ], '--dataset=digits')
