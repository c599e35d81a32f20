"""bin/evaluate ends with the JSON of the Python API's numbers."""

import numpy as np
import pytest

from tests.commands import results
from tf_resflow import evaluation
from tf_resflow import workflow
from tf_resflow.evaluation import inversion


@pytest.mark.slow
def test_it_agrees_with_the_api(run_tool, trained_workdir, tmp_path):
  """On two devices, where that takes one; and is set against other models."""
  output, others = tmp_path / 'bits.npz', tmp_path / 'others.npz'
  settings = {'num_examples': 16, 'estimator': 'roulette:safe,exact=3',
              'batch_size': 8, 'seed': 4, 'num_reconstructions': 10,
              'num_probes': 2}
  found = workflow.evaluate(workflow.load(trained_workdir), **settings)
  evaluation.example_files.write_bits(
      others, {'worse': found.arrays['bits_per_dim'].mean(
          axis=0) + np.linspace(0.0, 0.2, 16)},
      {'dataset': 'digits', 'split': 'test', 'num_levels': 17,
       'image_shape': (8, 8, 1)})
  result = run_tool(
      'evaluate', f'--workdir={trained_workdir}', '--strategy=mirrored',
      *(f'--{name}={value}' for name, value in settings.items()),
      f'--compare={others}', f'--output={output}')
  report = results.report(result)
  assert report.pop('paired_differences')['worse']['mean'] == pytest.approx(
      -0.1)
  expected = found.report() | {'num_devices': 2}
  assert report.keys() == expected.keys()
  for name, value in expected.items():
    assert report[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
  assert report['lipschitz_bound_max'] < 1.0
  assert 'certified by' in result.stderr
  assert 'flow (a) against worse (b): a is below b by 0.1000' in result.stderr
  arrays = results.arrays(output)
  assert arrays.keys() == found.arrays.keys()
  np.testing.assert_allclose(
      arrays['bits_per_dim'], found.arrays['bits_per_dim'], rtol=1e-5)


def test_double_precision_and_failures(run_tool, table_workdir, monkeypatch):
  """JSON has no NaN, and a note says what happened."""
  original = inversion.check_inverse
  monkeypatch.setattr(
      inversion, 'check_inverse', lambda *args, **kwargs: original(
          *args, **kwargs) | {'reconstruction_error_max': float('nan'),
                              'inverse_num_not_converged': 3})
  result = run_tool('evaluate', f'--workdir={table_workdir}',
                    '--dtype=float64', '--nocertify', '--batch_size=7')
  report = results.report(result)
  flow = workflow.load(table_workdir, dtype='float64')
  test = flow.run.open('test').arrays
  log_prob = flow.log_prob(
      np.float64(test['x']), test['condition'], estimator='exact')
  assert report['nats'] == pytest.approx(-np.mean(log_prob), rel=1e-9)
  assert report['inverse_residual_max'] < 1e-9
  assert report['reconstruction_error_max'] is None
  assert report['lipschitz_bound_max'] is None
  assert 'note: 3 inverses of a block did not converge' in result.stderr


def test_bad_input(run_tool, digits_workdir, table_workdir, monkeypatch):
  """Said before all the work."""
  monkeypatch.setattr(evaluation, 'evaluate', pytest.fail)
  results.check_errors(run_tool, 'evaluate', [
      (['--num_examples=361'], '--num_examples=361: expected at most 360. That '
       'many examples are in the test split.'),
      (['--estimator=exact', '--num_probes=2'],
       '--num_probes cannot be used with --estimator=exact.'),
      ([f'--workdir={table_workdir}', '--classify'],
       '--classify=true requires a flow whose condition is the label. Train'),
  ], f'--workdir={digits_workdir}')


def test_tools_that_answer_flags_of_this_one(
    run_tool, table_workdir, digits_workdir, table):
  result = run_tool('evaluate', f'--workdir={table_workdir}',
                    f'--inputs={table}', '--nocertify')
  report = results.report(result)
  assert report['num_examples'] == 100
  assert report['reconstruction_error_max'] < 1e-4
  assert 'note: --inputs is answered by tf_resflow score --verify.' in (
      result.stderr)
  # Which does not invert unless it is asked to.
  report = results.report(run_tool(
      'score', f'--workdir={table_workdir}', f'--inputs={table}'))
  assert not any('inver' in key or 'lipschitz' in key for key in report)
  result = run_tool('evaluate', f'--workdir={digits_workdir}',
                    '--ood_dataset', '2d/moons')
  assert result.status == 2
  assert 'ood: error: --ood_dataset=2d/moons: expected a data' in result.stderr
