"""bin/evaluate ends with the JSON of the Python API's numbers.

With --ood_dataset: scores of digits beside those of other images.
"""

import shutil

from matplotlib import image as image_lib
import numpy as np
import pytest

from tests.commands import results
from tests.training import runs
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.evaluation import inversion
from tf_resflow.experiments import bayes
from tf_resflow.experiments import out_of_distribution
from tf_resflow.numerics import random


@pytest.mark.slow
def test_it_agrees_with_the_api(run_tool, trained_workdir, data_dir, tmp_path):
  """On two devices, where that takes one; and is set against other models."""
  model, _ = training.workdir.load_model(str(trained_workdir))
  expected, bits, _ = evaluation.evaluate(
      model, datasets.open_split('digits', 'test', data_dir=data_dir),
      batch_size=8, seed=4, num_examples=16, num_reconstructions=10,
      num_probes=2, estimator=numerics.Estimator.get('roulette:safe,exact=3'))
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
    return original(*args, **kwargs)._replace(
        reconstruction_error_max=float('nan'), inverse_num_not_converged=3)

  monkeypatch.setattr(inversion, 'check_inverse', fail)
  result = run_tool('evaluate', f'--workdir={table_workdir}',
                    '--dtype=float64', '--nocertify', '--batch_size=7')
  report = results.report(result)
  model, _ = training.workdir.load_model(str(table_workdir), dtype='float64')
  split = training.load_config(str(table_workdir)).open_split('test')
  test = split.examples_at(range(split.num_examples))
  log_prob = model.log_prob(test['x'], test['condition'], estimator='exact')
  assert report['nats'] == pytest.approx(-np.mean(log_prob), rel=1e-9)
  assert (report['num_examples'], report['dtype']) == (20, 'float64')
  assert report['inverse_residual_max'] < 1e-9
  assert report['reconstruction_error_max'] is None
  assert report['lipschitz_bound_max'] is None
  assert 'note: 3 inverses of a block did not converge' in result.stderr


@pytest.fixture(scope='module')
def others(data_dir, tmp_path_factory):
  """Inverted digits, which have the same shape and levels."""
  split = datasets.open_split('digits', 'test', data_dir=data_dir)
  path = tmp_path_factory.mktemp('others') / 'inverted.npz'
  np.savez(path, image=16 - split.arrays['x'].numpy(),
           label=split.arrays['label'])
  return path


def test_bad_input(
    run_tool, digits_workdir, labelled_workdir, table_workdir, others, tmp_path,
    monkeypatch):
  """Said before all the work."""
  monkeypatch.setattr(evaluation, 'evaluate', pytest.fail)
  path, with_others = tmp_path / 'x.npz', f'--ood_dataset={others}'
  np.savez(path, x=np.zeros([1, 8, 8, 1]))
  folders = path.parent, digits_workdir, labelled_workdir, others.parent
  before = [runs.contents(folder) for folder in folders]
  results.check_errors(run_tool, 'evaluate', [
      (['--inputs=x.npz', '--compare=y.npz'], '--compare cannot be used with '),
      (['--output=x.csv'], '--output=x.csv: expected an .npz file without'),
      (['--top=3'], '--top requires --inputs. It shows'),
      (['--top=3', f'--inputs={path}'], '--top cannot be used with images. It'),
      *[([f'--inputs={path}', f'--output={output}', '--overwrite'],
         f'--output={output}: expected another file than that of --inputs.')
        for output in (path, f'{tmp_path}/../{tmp_path.name}/x.npz')],
      (['--num_examples=361'], '--num_examples=361: expected at most 360. That '
       'many examples are in the test split.'),
      (['--estimator=exact', '--num_repeats=9', f'--inputs={path}'],
       '--num_repeats cannot be used with --estimator=exact.'),
      *[([f'--workdir={workdir}', '--classify'],
         '--classify=true requires a flow whose condition is the label. Train')
        for workdir in (digits_workdir, table_workdir)],
      ([f'--workdir={labelled_workdir}', '--ood_dataset=digits'],
       '--ood_dataset cannot be used with a flow p(x|c). Other'),
      ([f'--workdir={table_workdir}', '--ood_dataset=digits'],
       '--ood_dataset cannot be used with vectors'),
      (['--ood_dataset=mnist5k'],
       '--ood_dataset=mnist5k: expected images (8, 8, 1) of'),
      (['--ood_dataset=2d/moons'], '--ood_dataset=2d/moons: expected a data s'),
      (['--ood_dataset='], '--ood_dataset=: expected one of digits, '),
      (['--picture=a.png'], '--picture requires --ood_dataset.'),
      ([with_others, '--inputs=x.npz'], '--inputs cannot be used with --ood_d'),
      ([with_others, '--num_repeats=15', '--estimator=adaptive'],
       '--num_repeats=15: expected a number >= 16.'),
      ([with_others, f'--output={others}', '--overwrite'],
       f'--output={others}: expected another file than that of --ood_dataset.'),
  ], f'--workdir={digits_workdir}')
  assert [runs.contents(folder) for folder in folders] == before


@pytest.mark.slow
def test_accuracy_by_bayes_rule(run_tool, labelled_workdir, data_dir, tmp_path):
  """By default where it takes one draw."""
  output = tmp_path / 'y.npz'
  report = results.report(run_tool(
      'evaluate', f'--workdir={labelled_workdir}', '--num_examples=12',
      '--batch_size=5', '--seed=3', '--nocertify', f'--output={output}'))
  found = results.arrays(output)
  assert found.keys() == {
      'bits_per_dim', 'log_prob', 'log_prob_stderr', 'label',
      'class_log_prob', 'class_log_density', 'class_log_density_stderr'}

  model, _ = training.workdir.load_model(str(labelled_workdir))
  test = training.load_config(str(labelled_workdir)).open_split('test')
  digits = datasets.open_split('digits', 'train', data_dir=data_dir)
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


def test_inverted_digits(run_tool, trained_workdir, data_dir, others, tmp_path):
  picture, output = tmp_path / 'a.png', tmp_path / 'a.npz'
  result = run_tool(
      'evaluate', f'--workdir={trained_workdir}', f'--ood_dataset={others}',
      f'--picture={picture}', f'--output={output}', '--seed=4',
      '--batch_size=50', '--num_examples=120')
  report = results.report(result)

  model, _ = training.workdir.load_model(str(trained_workdir))
  split = datasets.open_split('digits', 'test', data_dir=data_dir)
  rule = evaluation.scoring_rule(model)
  scores = [
      out_of_distribution.score_examples(
          model, part, rule, seed=random.fold_in(4, i), noise_seed=4 * 1009 + i,
          num_examples=120)
      for i, part in enumerate((
          split, evaluation.example_files.read_images(others, model)))]
  expected = out_of_distribution.compare_scores(model, *scores)
  for name, value in expected.items():
    np.testing.assert_allclose(
        report[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
  assert (report['in_num_examples'], report['out_num_examples'],
          report['num_repeats'], report['estimator'], report['rule']) == (
              120, 120, 1, 'exact', 'exact: at most 64 dimensions')
  assert report['in_stderr_rms'] == report['noise_share'] == 0.0
  # Dark corners are what the first batch taught the flow.
  assert report['auroc'] > 0.9
  assert f'log p(x): AUROC {report["auroc"]:.4f} +- ' in result.stderr
  assert 'digits, test (in) is more often above that of inve' in result.stderr
  found = results.arrays(output)
  for prefix, part in zip(('', 'ood_'), scores, strict=True):
    np.testing.assert_allclose(
        found[f'{prefix}log_prob'], part.log_prob, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(
        found[f'{prefix}label'], split.arrays['label'][:120])
  assert report['picture'] == str(picture)
  assert min(image_lib.imread(picture).shape[:2]) > 300


def test_estimates_floats_and_the_picture_of_the_workdir(
    run_tool, digits_workdir, tmp_path):
  """With all defaults but the estimator, twice."""
  workdir = shutil.copytree(digits_workdir, tmp_path / 'run')
  np.savez(tmp_path / 'noise.npz', x=np.random.default_rng(0).uniform(
      size=[30, 8, 8, 1]))
  picture = workdir / 'ood_noise.png'
  command = ['evaluate', f'--workdir={workdir}', '--num_examples=20',
             f'--ood_dataset={tmp_path}/noise.npz', '--estimator=adaptive:0.3']
  report = results.report(run_tool(*command))
  assert image_lib.imread(picture).shape[0] > 300
  assert report['picture'] == str(picture)
  assert (report['num_repeats'], report['in_num_examples'],
          report['out_num_examples']) == (16, 20, 20)
  assert report['estimator'] == (
      numerics.Estimator.get('adaptive:0.3').per_example().spec())
  assert 0.0 < report['in_stderr_rms'] < report['in_log_prob_std']
  assert 0.0 < report['noise_share'] < 1.0
  # Nothing is replaced unless that is wanted.
  written = picture.read_bytes()
  results.check_error(
      run_tool(*command),
      f'evaluate: error: --picture={picture}: expected a new file')
  assert picture.read_bytes() == written
