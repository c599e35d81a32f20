"""bin/evaluate --against: scores of digits beside those of other images."""

import shutil

from matplotlib import image as image_lib
import numpy as np
import pytest

from tests.commands import results
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.experiments import out_of_distribution
from tf_resflow.numerics import random


@pytest.fixture(scope='module')
def others(data_dir, tmp_path_factory):
  """Inverted digits, which have the same shape and levels."""
  split = datasets.load('digits', 'test', data_dir=data_dir)
  path = tmp_path_factory.mktemp('others') / 'inverted.npz'
  np.savez(path, image=16 - split.arrays['x'].numpy(),
           label=split.arrays['label'])
  return path


def test_inverted_digits(run_tool, trained_workdir, data_dir, others, tmp_path):
  picture, output = tmp_path / 'a.png', tmp_path / 'a.npz'
  result = run_tool(
      'evaluate', f'--workdir={trained_workdir}', f'--against={others}',
      f'--picture={picture}', f'--output={output}', '--seed=4',
      '--batch_size=50', '--num_examples=120')
  report = results.report(result)

  model, _ = training.load_model(str(trained_workdir))
  split = datasets.load('digits', 'test', data_dir=data_dir)
  rule = evaluation.scoring_rule(model)
  scores = [
      out_of_distribution.score_examples(
          model, part, rule, seed=random.fold_in(4, i), noise_seed=4 * 1009 + i,
          num_examples=120)
      for i, part in enumerate((split, evaluation.read_images(others, model)))]
  expected = out_of_distribution.compare_scores(model, *scores)
  for name, value in expected.items():
    np.testing.assert_allclose(
        report[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
  assert (report['in_num_examples'], report['out_num_examples'],
          report['num_repeats'], report['estimator'], report['rule']) == (
              120, 120, 1, 'exact', 'exact, as up to 64 dimensions')
  assert report['in_deviation_rms'] == report['noise_share'] == 0.0
  # Dark corners are what the first batch taught the flow.
  assert report['auroc'] > 0.9
  assert f'log p(x): AUROC {report["auroc"]:.4f} +- ' in result.stderr
  assert 'digits, test (in) is more often above that of inve' in result.stderr
  found = results.arrays(output)
  assert {name: array.shape for name, array in found.items()} == {
      prefix + name: (120,) for prefix in ('', 'against_')
      for name in ('log_prob', 'log_prob_deviation', 'label')}
  for prefix, part in zip(('', 'against_'), scores, strict=True):
    np.testing.assert_allclose(
        found[f'{prefix}log_prob'], part.log_prob, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(
        found[f'{prefix}label'], split.arrays['label'][:120])
  image = image_lib.imread(picture)
  assert report['picture'] == str(picture)
  assert min(image.shape[:2]) > 300
  assert len(np.unique(image.reshape([-1, image.shape[-1]]), axis=0)) > 10


def test_estimates_floats_and_the_picture_of_the_workdir(
    run_tool, digits_workdir, tmp_path):
  """With all defaults but the estimator, twice."""
  workdir = shutil.copytree(digits_workdir, tmp_path / 'run')
  np.savez(tmp_path / 'noise.npz', x=np.random.default_rng(0).uniform(
      size=[30, 8, 8, 1]))
  picture = workdir / 'against_noise.png'
  command = ['evaluate', f'--workdir={workdir}', '--num_examples=20',
             f'--against={tmp_path}/noise.npz', '--estimator=adaptive:0.3']
  report = results.report(run_tool(*command))
  assert image_lib.imread(picture).shape[0] > 300
  assert report['picture'] == str(picture)
  assert (report['num_repeats'], report['in_num_examples'],
          report['out_num_examples']) == (16, 20, 20)
  assert report['estimator'] == (
      numerics.Estimator.get('adaptive:0.3').per_example().spec())
  assert 0.0 < report['in_deviation_rms'] < report['in_log_prob_std']
  assert 0.0 < report['noise_share'] < 1.0
  # Nothing is replaced unless that is wanted.
  written = picture.read_bytes()
  results.check_error(
      run_tool(*command),
      f'evaluate: error: --picture={picture}: expected a new file')
  assert picture.read_bytes() == written


def test_bad_input(run_tool, digits_workdir, others, tmp_path):
  wrong = tmp_path / 'wrong.npz'
  np.savez(wrong, image=np.full([3, 8, 8, 1], 17))
  before = {path.name for path in digits_workdir.iterdir()}
  with_others = f'--against={others}'
  results.check_errors(run_tool, 'evaluate', [
      (['--against=mnist5k'], '--against=mnist5k: expected images (8, 8, 1) of '
       '17 levels, as those of the run. These are (28, 28, 1) of 256 levels,'),
      (['--against=cifar11'], '--against=cifar11: expected one of digits, mn'),
      (['--against=array:a.npz'], 'dataset=array:a.npz: expected an .npz file'),
      (['--against=2d/moons'], '--against=2d/moons: expected a data set of im'),
      (['--against='], '--against=: expected the name of a data set or the pa'),
      ([f'--against={wrong}'], f'--against={wrong}: expected an .npz file with '
       'an array x or image [n, 8, 8, 1], integers from 0 to 16 or dequantise'),
      ([with_others, '--picture=a.jpg'],
       '--picture=a.jpg: expected a name that ends in .png or .svg'),
      (['--picture=a.png'], '--picture=a.png: expected no such flag without -'),
      ([with_others, '--inputs=x.npz'],
       '--inputs=x.npz: expected no such flag with --against.'),
      ([with_others, '--num_repeats=20'],
       '--num_repeats=20: expected no such number where nothing is drawn'),
      ([with_others, '--num_repeats=15', '--estimator=adaptive'],
       '--num_repeats=15: expected a number from 16.'),
      ([with_others, '--num_examples=361'],
       '--num_examples=361: expected at most 360.'),
      ([with_others, f'--output={others}', '--overwrite'],
       f'--output={others}: expected another file than that of --against.'),
  ], f'--workdir={digits_workdir}')
  assert {path.name for path in digits_workdir.iterdir()} == before
