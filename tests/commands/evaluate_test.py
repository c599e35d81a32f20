"""bin/evaluate ends with the JSON of the Python API's numbers."""

import numpy as np
import pytest

from tests.commands import results
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.evaluation import inversion


@pytest.mark.slow
def test_it_agrees_with_the_api(run_tool, trained_workdir, data_dir, tmp_path):
  """On two devices, where that takes one; and is set against other models."""
  model, _ = training.workdir.restore_model(str(trained_workdir))
  found = evaluation.evaluate(
      model, datasets.open_split('digits', 'test', data_dir=data_dir),
      batch_size=8, seed=4, num_examples=16, num_reconstructions=10,
      num_probes=2, estimator=numerics.Estimator.get('roulette:safe,exact=3'))
  expected, bits = found.report(), found.arrays['bits_per_dim']
  output, others = tmp_path / 'bits.npz', tmp_path / 'others.npz'
  evaluation.example_files.write_bits(
      others, {'worse': bits.mean(axis=0) + np.linspace(0.0, 0.2, 16)},
      {'dataset': 'digits', 'split': 'test', 'num_levels': 17,
       'image_shape': (8, 8, 1)})
  result = run_tool(
      'evaluate', f'--workdir={trained_workdir}', '--num_examples=16',
      '--estimator=roulette:safe,exact=3', '--batch_size=8', '--seed=4',
      '--num_reconstructions=10', '--num_probes=2', '--strategy=mirrored',
      f'--compare={others}', f'--output={output}')
  report = results.report(result)
  for name, value in {
      'step': 4, 'split': 'test', 'dtype': 'float32', 'num_devices': 2,
      'estimator': expected.pop('estimator')}.items():
    assert report.pop(name) == value, name
  assert report.pop('paired_differences')['worse']['mean'] == pytest.approx(
      -0.1)
  assert report.keys() == expected.keys() >= {
      'bits_per_dim', 'bits_per_dim_stderr', 'estimator_stderr',
      'num_examples', 'reconstruction_error_max', 'lipschitz_bound_max'}
  for name, value in expected.items():
    np.testing.assert_allclose(
        report[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
  assert report['lipschitz_bound_max'] < 1.0
  assert 'certified by' in result.stderr
  assert 'flow (a) against worse (b): a is below b by 0.1000' in result.stderr
  arrays = results.arrays(output)
  np.testing.assert_allclose(arrays['bits_per_dim'], bits, rtol=1e-5)
  assert {name: array.shape for name, array in arrays.items()} == {
      'bits_per_dim': (8, 16), 'log_prob': (16,), 'label': (16,),
      'log_prob_stderr': (16,)}


def test_double_precision_and_failures(run_tool, table_workdir, monkeypatch):
  """JSON has no NaN, and a note says what happened."""
  original = inversion.check_inverse

  def fail(*args, **kwargs):
    return original(*args, **kwargs) | {
        'reconstruction_error_max': float('nan'),
        'inverse_num_not_converged': 3}

  monkeypatch.setattr(inversion, 'check_inverse', fail)
  result = run_tool('evaluate', f'--workdir={table_workdir}',
                    '--dtype=float64', '--nocertify', '--batch_size=7')
  report = results.report(result)
  model, _ = training.workdir.restore_model(str(table_workdir), dtype='float64')
  split = training.load_config(str(table_workdir)).open_split('test')
  test = split.examples_at(range(split.num_examples))
  log_prob = model.log_prob(test['x'], test['condition'], estimator='exact')
  assert report['nats'] == pytest.approx(-np.mean(log_prob), rel=1e-9)
  assert (report['num_examples'], report['dtype']) == (20, 'float64')
  assert report['inverse_residual_max'] < 1e-9
  assert report['reconstruction_error_max'] is None
  assert report['lipschitz_bound_max'] is None
  assert 'note: 3 inverses of a block did not converge' in result.stderr


def test_bad_input(
    run_tool, digits_workdir, table_workdir, tmp_path, monkeypatch):
  """Said before all the work."""
  monkeypatch.setattr(evaluation, 'evaluate', pytest.fail)
  path = tmp_path / 'x.npz'
  np.savez(path, x=np.zeros([1, 8, 8, 1]))
  results.check_errors(run_tool, 'evaluate', [
      (['--output=x.csv'], '--output=x.csv: expected a name that ends in .npz'),
      *[([f'--compare={path}', f'--output={output}', '--overwrite'],
         f'--output={output}: expected another file than {path}.')
        for output in (path, f'{tmp_path}/../{tmp_path.name}/x.npz')],
      (['--num_examples=361'], '--num_examples=361: expected at most 360. That '
       'many examples are in the test split.'),
      (['--estimator=exact', '--num_probes=2'],
       '--num_probes cannot be used with --estimator=exact.'),
      *[([f'--workdir={workdir}', '--classify'],
         '--classify=true requires a flow whose condition is the label. Train')
        for workdir in (digits_workdir, table_workdir)],
  ], f'--workdir={digits_workdir}')


def test_tools_that_answer_flags_of_this_one(
    run_tool, table_workdir, digits_workdir, table):
  result = run_tool('evaluate', f'--workdir={table_workdir}',
                    f'--inputs={table}', '--nocertify')
  assert results.report(result)['num_examples'] == 100
  assert 'note: --inputs is answered by tf_resflow score.' in result.stderr
  result = run_tool('evaluate', f'--workdir={digits_workdir}',
                    '--ood_dataset', '2d/moons')
  assert result.status == 2
  assert 'ood: error: --ood_dataset=2d/moons: expected a data' in result.stderr
