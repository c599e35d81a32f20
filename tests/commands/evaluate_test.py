"""bin/evaluate ends with the JSON of the Python API's numbers."""

import numpy as np
import pytest

from tests.commands import results
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.evaluation import inversion
from tf_resflow.experiments import bayes


@pytest.mark.slow
def test_it_agrees_with_the_api(
    run_tool, trained_workdir, data_dir, tmp_path):
  """On two devices, where that takes one; and is set against other models."""
  model, _ = training.load_model(str(trained_workdir))
  expected, bits, _ = evaluation.evaluate(
      model, datasets.load('digits', 'test', data_dir=data_dir), batch_size=8,
      seed=4, num_examples=16, num_reconstructions=10, num_probes=2,
      estimator=numerics.Estimator.get('roulette:safe,exact=3'))
  output, others = tmp_path / 'bits.npz', tmp_path / 'others.npz'
  evaluation.write_bits(
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
      'log_prob_deviation': (16,)}


def test_inputs_of_an_own_model(run_tool, trained_workdir, tmp_path):
  x = np.random.default_rng(0).uniform(size=[3, 8, 8, 1])
  np.savez(tmp_path / 'x.npz', x=x)
  report = results.report(run_tool(
      'evaluate', f'--workdir={trained_workdir}', f'--inputs={tmp_path}/x.npz',
      f'--output={tmp_path}/y.npz', '--dtype=float32', '--certify',
      '--estimator=adaptive:0.02'))
  assert (report['latent_order'], report['dtype'], report['estimator']) == (
      'channels_last', 'float32', 'adaptive:0.02')
  assert 0.0 < report['lipschitz_bound_max'] < 1.0
  assert report['estimator_stderr'] > 0.0
  found = results.arrays(tmp_path / 'y.npz')
  assert {name: array.shape for name, array in found.items()} == {
      'z': (3, 64), 'log_det': (3,), 'log_prob': (3,),
      'log_prob_deviation': (3,), 'bits_per_dim': (3,),
      'log_det_repeats': (8, 3)}
  model, _ = training.load_model(str(trained_workdir))
  np.testing.assert_allclose(found['z'], model(x), atol=1e-4)


def test_double_precision_and_failures(run_tool, table_workdir, monkeypatch):
  """JSON has no NaN, and a note says what happened."""
  original = inversion.check_inverse

  def fail(*args, **kwargs):
    return original(*args, **kwargs)._replace(
        reconstruction_error_max=float('nan'), inverse_num_not_converged=3)

  monkeypatch.setattr(inversion, 'check_inverse', fail)
  result = run_tool('evaluate', f'--workdir={table_workdir}',
                    '--dtype=float64', '--nocertify', '--batch_size=7')
  report = results.report(result)
  model, _ = training.load_model(str(table_workdir), dtype='float64')
  split = datasets.load_split(
      training.load_config(str(table_workdir)).data, 'test')
  test = split.examples_at(range(split.num_examples))
  log_prob = model.log_prob(test['x'], test['condition'], estimator='exact')
  assert report['nats'] == pytest.approx(-np.mean(log_prob), rel=1e-9)
  assert (report['num_examples'], report['dtype']) == (20, 'float64')
  assert report['inverse_residual_max'] < 1e-9
  assert report['reconstruction_error_max'] is None
  assert report['lipschitz_bound_max'] is None
  assert 'note: 3 inverses of a block did not converge' in result.stderr


def test_bad_input(
    run_tool, digits_workdir, labelled_workdir, table_workdir, tmp_path,
    monkeypatch):
  """Said before all the work."""
  monkeypatch.setattr(evaluation, 'evaluate', pytest.fail)
  others, path = tmp_path / 'b.npz', tmp_path / 'x.npz'
  np.savez(others, x=np.zeros([1, 8, 8, 1]))
  np.savez(path, x=np.zeros([1, 8, 8, 1]))
  before = path.read_bytes()
  results.check_errors(run_tool, 'evaluate', [
      (['--inputs=x.npz', '--compare=y.npz'],
       '--compare=y.npz: expected no such flag with --inputs.'),
      (['--inputs=x.npz', '--split=train'],
       '--split=train: expected no such flag with --inputs.'),
      (['--output=x.csv'], '--output=x.csv: expected an .npz file without'),
      *[([f'--inputs={path}', f'--output={output}', '--overwrite'],
         f'--output={output}: expected another file than that of --inputs.')
        for output in (path, f'{tmp_path}/../{tmp_path.name}/x.npz')],
      (['--estimator=exact', '--num_probes=2'],
       '--num_probes=2: expected no such flag with --estimator=exact.'),
      (['--estimator=exact', '--num_repeats=9', f'--inputs={path}'],
       '--num_repeats=9: expected no such flag with --estimator=exact.'),
      (['--inputs=/none.npz'], '--inputs=/none.npz: expected '),
      (['--split=validation', '--num_examples=21'],
       '--num_examples=21: expected at most 20.'),
      (['--num_reconstructions=361'], '--num_reconstructions=361: expected at'),
      ([f'--compare={others}'], f'--compare={others}: expected '),
      *[([f'--workdir={workdir}', '--classify'],
         '--classify=true: expected false unless the condition of the flow is '
         'the label. bin/train --condition=label makes it that.')
        for workdir in (digits_workdir, table_workdir)],
      ([f'--workdir={labelled_workdir}', '--against=digits'],
       '--against=digits: expected no such flag with a flow p(x|c). Other'),
      ([f'--workdir={table_workdir}', '--against=digits'],
       '--against=digits: expected no such flag with vectors'),
  ], f'--workdir={digits_workdir}')
  assert path.read_bytes() == before
  assert not list(labelled_workdir.glob('*.png'))


@pytest.mark.slow
def test_accuracy_by_bayes_rule(
    run_tool, labelled_workdir, data_dir, tmp_path):
  """By default where it takes one draw."""
  output = tmp_path / 'y.npz'
  report = results.report(run_tool(
      'evaluate', f'--workdir={labelled_workdir}', '--num_examples=12',
      '--batch_size=5', '--seed=3', '--nocertify', f'--output={output}'))
  found = results.arrays(output)
  assert found.keys() == {
      'bits_per_dim', 'log_prob', 'log_prob_deviation', 'label',
      'class_log_prob', 'class_log_density', 'class_log_density_deviation'}

  model, _ = training.load_model(str(labelled_workdir))
  test = datasets.load_split(
      training.load_config(str(labelled_workdir)).data, 'test')
  digits = datasets.load('digits', 'train', data_dir=data_dir)
  counts = np.bincount(digits.arrays['label'], minlength=10)
  scores = bayes.main(
      model, test, np.log(counts / counts.sum()), seed=3, num_examples=12)
  np.testing.assert_allclose(
      found['class_log_prob'], scores.class_log_prob, atol=1e-3)
  for name, value in scores.report().items():
    if isinstance(value, float):
      value = pytest.approx(value, rel=1e-3, abs=1e-6)
    assert report[name] == value, name
  assert report['class_score_estimator'] == 'exact'
  bits = evaluation.nll(model, test, seed=3, num_examples=12, batch_size=5)
  np.testing.assert_allclose(found['bits_per_dim'], bits, rtol=1e-5)
