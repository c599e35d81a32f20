"""bin/train and bin/evaluate end with the JSON of the Python API's numbers."""

import json

import numpy as np
import pytest

from tests.commands import results
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.evaluation import example_files
from tf_resflow.evaluation import inversion
from tf_resflow.experiments import bayes

_CONTRACT = {
    'bits_per_dim', 'bits_per_dim_stderr', 'estimator_stderr', 'num_examples',
    'reconstruction_error_max', 'lipschitz_bound_max'}


@pytest.fixture
def workdir(trained_workdir):
  return trained_workdir


def test_files_of_a_run(workdir):
  names = {p.name for p in workdir.iterdir()}
  assert names == {'run.flags', 'model.json', 'metrics.csv', 'checkpoints',
                   'tensorboard', 'samples'}
  assert {p.name for p in (workdir / 'samples').iterdir()} == {
      'samples_00000003.png', 'samples_00000004.png'}
  assert '--num_blocks=1\n' in (workdir / 'run.flags').read_text()


def test_evaluate_agrees_with_the_api(run_tool, workdir, data_dir, tmp_path):
  output = tmp_path / 'bits.npz'
  result = run_tool(
      'evaluate', f'--workdir={workdir}', '--num_examples=20',
      '--estimator=roulette:safe,exact=3', '--batch_size=8', '--seed=4',
      '--num_reconstructions=10', f'--output={output}')
  report = results.report(result)
  assert _CONTRACT <= set(report)
  assert (report.pop('step'), report.pop('split')) == (4, 'test')
  assert report.pop('dtype') == 'float32'
  assert report.pop('num_devices') == 1
  assert 'certified by' in result.stderr

  model, _ = training.load_model(str(workdir))
  split = datasets.load('digits', 'test', data_dir=data_dir)
  expected, bits, _ = evaluation.evaluate(
      model, split, batch_size=8, seed=4, num_examples=20,
      num_reconstructions=10,
      estimator=numerics.Estimator.get('roulette:safe,exact=3'))
  assert report.keys() == expected.keys()
  assert report.pop('estimator') == expected.pop('estimator') == (
      'roulette:safe:0.9,exact=3')
  for name, value in expected.items():
    np.testing.assert_allclose(
        report[name], value, rtol=1e-6, atol=1e-6, err_msg=name)
  assert report['lipschitz_bound_max'] < 1.0
  with np.load(output) as stored:
    np.testing.assert_allclose(stored['bits_per_dim'], bits, rtol=1e-6)
    assert {name: stored[name].shape for name in stored.files} == {
        'bits_per_dim': (8, 20), 'log_prob': (20,), 'label': (20,),
        'log_prob_deviation': (20,)}


def test_train_ends_with_its_evaluation(run_tool, workdir, data_dir):
  """The run is finished, so that only the evaluation is left."""
  result = run_tool(
      'train', f'--flagfile={workdir}/run.flags', f'--workdir={workdir}',
      '--evaluate_at_end')
  report = results.report(result)
  assert _CONTRACT <= set(report)
  assert report['num_examples'] == 360
  assert report['estimator'] == 'adaptive:0.02'
  # An untrained flow: far from good, but finite.
  assert 1.5 < report['bits_per_dim'] < 5.0


def test_inputs_of_an_own_model(run_tool, workdir, tmp_path):
  x = np.random.default_rng(0).uniform(size=[3, 8, 8, 1])
  np.savez(tmp_path / 'x.npz', x=x)
  result = run_tool(
      'evaluate', f'--workdir={workdir}', f'--inputs={tmp_path}/x.npz',
      f'--output={tmp_path}/y.npz', '--dtype=float32', '--certify')
  report = results.report(result)
  assert (report['latent_order'], report['dtype'], report['estimator']) == (
      'channels_last', 'float32', 'adaptive:0.02')
  assert 0.0 < report['lipschitz_bound_max'] < 1.0
  assert report['estimator_stderr'] > 0.0
  with np.load(tmp_path / 'y.npz') as found:
    assert {name: found[name].shape for name in found.files} == {
        'z': (3, 64), 'log_det': (3,), 'log_prob': (3,),
        'log_prob_deviation': (3,), 'bits_per_dim': (3,),
        'log_det_repeats': (8, 3)}
    model, _ = training.load_model(str(workdir))
    np.testing.assert_allclose(found['z'], model(x), atol=1e-4)


def test_inputs_are_not_replaced(run_tool, workdir, tmp_path):
  path = tmp_path / 'x.npz'
  np.savez(path, x=np.zeros([1, 8, 8, 1]))
  before = path.read_bytes()
  for output in (path, f'{tmp_path}/../{tmp_path.name}/x.npz'):
    result = run_tool(
        'evaluate', f'--workdir={workdir}', f'--inputs={path}',
        f'--output={output}', '--overwrite')
    assert result.status == 2
    assert 'expected another file than that of --inputs.' in result.stderr
    assert path.read_bytes() == before


def test_probes_and_devices(run_tool, workdir, tmp_path):
  """Two devices give the numbers of one."""
  reports, bits = [], []
  for strategy in ('single', 'mirrored'):
    output = tmp_path / f'{strategy}.npz'
    result = run_tool(
        'evaluate', f'--workdir={workdir}', '--num_examples=16', '--nocertify',
        '--batch_size=8', '--num_probes=2',
        f'--strategy={strategy}', f'--output={output}')
    reports.append(results.report(result))
    with np.load(output) as stored:
      bits.append(stored['bits_per_dim'])
  assert [r.pop('num_devices') for r in reports] == [1, 2]
  assert [r['num_probes'] for r in reports] == [2, 2]
  assert [r['num_examples'] for r in reports] == [16, 16]
  np.testing.assert_allclose(bits[1], bits[0], rtol=1e-5)
  for name in ('bits_per_dim', 'bits_per_dim_stderr', 'estimator_stderr'):
    np.testing.assert_allclose(reports[1][name], reports[0][name], rtol=1e-4)
  assert reports[0]['inverse_num_not_converged'] == 0
  assert reports[1]['reconstruction_error_max'] < 1e-4


def test_comparison_with_other_models(run_tool, workdir, tmp_path):
  command = ('evaluate', f'--workdir={workdir}', '--num_examples=16',
             '--nocertify', '--batch_size=16')
  result = run_tool(*command, f'--output={tmp_path}/flow.npz')
  assert result.status == 0, result.stderr
  with np.load(tmp_path / 'flow.npz') as stored:
    bits = stored['bits_per_dim'].mean(axis=0)
  example_files.write_bits(
      tmp_path / 'b.npz', {'worse': bits + np.linspace(0.0, 0.2, 16)},
      {'dataset': 'digits', 'split': 'test', 'num_levels': 17,
       'image_shape': (8, 8, 1)})
  result = run_tool(*command, f'--compare={tmp_path}/b.npz')
  report = results.report(result)
  assert report['paired_differences']['worse']['mean'] == pytest.approx(-0.1)
  assert 'flow (a) against worse (b): a is below b by 0.1000' in result.stderr
  # Before all the work.
  refused = run_tool(*command, f'--compare={tmp_path}/flow.npz')
  assert refused.status == 2
  (line,) = refused.stderr.splitlines()
  assert line.startswith('evaluate: error: --compare=')


def test_failures_are_not_numbers(run_tool, workdir, monkeypatch):
  """JSON has no NaN, and a note says what happened."""
  original = inversion.check_inverse

  def fail(*args, **kwargs):
    return original(*args, **kwargs)._replace(
        reconstruction_error_max=float('nan'), inverse_num_not_converged=3)

  monkeypatch.setattr(inversion, 'check_inverse', fail)
  result = run_tool('evaluate', f'--workdir={workdir}', '--num_examples=2',
                    '--nocertify')
  assert result.status == 0, result.stderr
  report = json.loads(
      result.stdout.splitlines()[-1], parse_constant=pytest.fail)
  assert report['reconstruction_error_max'] is None
  assert 'note: 3 inverses of a block did not converge' in result.stderr


def test_exact_and_double_precision_of_a_split(run_tool, workdir, data_dir):
  """The size of batches does not matter, other than for estimates."""
  model, _ = training.load_model(str(workdir))
  bits = evaluation.nll(
      model, datasets.load('digits', 'test', data_dir=data_dir),
      num_examples=4, estimator=numerics.Exact())
  reports = []
  for change in (['--batch_size=2'], ['--dtype=float64']):
    result = run_tool(
        'evaluate', f'--workdir={workdir}', '--num_examples=4', '--nocertify',
        '--estimator=exact', *change)
    reports.append(results.report(result))
    np.testing.assert_allclose(
        reports[-1]['bits_per_dim'], bits.mean(), rtol=1e-6)
  single, double = (r['inverse_residual_max'] for r in reports)
  assert double < 1e-3 * single


@pytest.mark.parametrize(('change', 'said'), [
    (['--inputs=x.npz', '--compare=y.npz'],
     '--compare=y.npz: expected no such flag with --inputs.'),
    (['--inputs=x.npz', '--split=train'],
     '--split=train: expected no such flag with --inputs.'),
    (['--estimator=exact', '--num_probes=2'],
     '--num_probes=2: expected no such flag with --estimator=exact.'),
    (['--estimator=exact', '--num_repeats=9', '--inputs=x.npz'],
     '--num_repeats=9: expected no such flag with --estimator=exact.'),
    (['--inputs=/none.npz'], '--inputs=/none.npz: expected '),
    (['--split=validation'], '--split=validation: expected '),
    (['--num_examples=361'], '--num_examples=361: expected at most 360.'),
    (['--num_reconstructions=361'], '--num_reconstructions=361: expected at'),
])
def test_bad_input(run_tool, workdir, change, said):
  results.check_error(
      run_tool('evaluate', f'--workdir={workdir}', *change),
      f'evaluate: error: {said}')


def test_accuracy_by_bayes_rule(
    run_tool, labelled_workdir, data_dir, tmp_path):
  """By default where it takes one draw; bit for bit the same again."""
  command = ['evaluate', f'--workdir={labelled_workdir}', '--num_examples=12',
             '--batch_size=5', '--seed=3', '--nocertify']
  outputs = [tmp_path / f'{i}.npz' for i in range(2)]
  reports = [
      results.report(run_tool(*command, f'--output={path}'))
      for path in outputs]
  assert reports[0] == reports[1]
  first, second = map(results.arrays, outputs)
  assert first.keys() == second.keys() == {
      'bits_per_dim', 'log_prob', 'log_prob_deviation', 'label',
      'class_log_prob', 'class_log_density', 'class_log_density_deviation'}
  for name, array in first.items():
    np.testing.assert_array_equal(array, second[name], err_msg=name)

  model, _ = training.load_model(str(labelled_workdir))
  config = training.load_config(str(labelled_workdir))
  train, test = (datasets.load_split(config.data, part)
                 for part in ('train', 'test'))
  digits = datasets.load('digits', 'train', data_dir=data_dir)
  counts = np.bincount(digits.arrays['label'], minlength=10)
  np.testing.assert_allclose(
      bayes.log_frequencies(train), np.log(counts / counts.sum()))
  scores = bayes.main(
      model, test, np.log(counts / counts.sum()), seed=3, num_examples=12)
  np.testing.assert_allclose(
      first['class_log_prob'], scores.class_log_prob, atol=1e-3)
  for name, value in scores.report().items():
    if isinstance(value, float):
      value = pytest.approx(value, rel=1e-3, abs=1e-6)
    assert reports[0][name] == value, name
  assert reports[0]['class_score_estimator'] == 'exact'
  bits = evaluation.nll(model, test, seed=3, num_examples=12, batch_size=5)
  np.testing.assert_allclose(first['bits_per_dim'], bits, rtol=1e-5)
  without = results.report(run_tool(*command, '--noclassify'))
  assert 'accuracy' not in without
  assert without['bits_per_dim'] == reports[0]['bits_per_dim']


@pytest.mark.parametrize('kind', ['digits', 'table'])
def test_who_cannot_classify(
    run_tool, digits_workdir, table_workdir, monkeypatch, kind):
  """Said before all the work."""
  workdir = {'digits': digits_workdir, 'table': table_workdir}[kind]
  monkeypatch.setattr(evaluation, 'evaluate', pytest.fail)
  results.check_error(
      run_tool('evaluate', f'--workdir={workdir}', '--classify'),
      'evaluate: error: --classify=true: expected false unless the condition '
      'of the flow is the label. bin/train --condition=label makes it that.')


def test_a_flow_given_labels_has_no_scores(
    run_tool, labelled_workdir, tmp_path):
  picture = tmp_path / 'new.png'
  results.check_error(run_tool(
      'evaluate', f'--workdir={labelled_workdir}', '--against=digits',
      f'--picture={picture}'),
      'evaluate: error: --against=digits: expected no such flag with a flow '
      'p(x|c). Other data')
  assert not picture.exists()
