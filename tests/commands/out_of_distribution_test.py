"""bin/evaluate --against: scores of digits beside those of other images."""

import json

from matplotlib import image as image_lib
import numpy as np
import pytest

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics
from tf_resflow import training
from tf_resflow.experiments import out_of_distribution
from tf_resflow.numerics import random


@pytest.fixture
def workdir(trained_workdir):
  return trained_workdir


@pytest.fixture(scope='module')
def others(data_dir, tmp_path_factory):
  """Inverted digits, which have the same shape and levels."""
  split = datasets.load('digits', 'test', data_dir=data_dir)
  path = tmp_path_factory.mktemp('others') / 'inverted.npz'
  np.savez(path, image=16 - split.arrays['x'].numpy(),
           label=split.arrays['label'])
  return path


def _report(result):
  assert result.status == 0, result.stderr
  return json.loads(result.stdout.splitlines()[-1], parse_constant=pytest.fail)


def test_inverted_digits(run_tool, workdir, data_dir, others, tmp_path):
  picture, output = tmp_path / 'a.png', tmp_path / 'a.npz'
  result = run_tool(
      'evaluate', f'--workdir={workdir}', f'--against={others}',
      f'--picture={picture}', f'--output={output}', '--seed=4',
      '--batch_size=50')
  report = _report(result)

  model, _ = training.load_model(str(workdir))
  split = datasets.load('digits', 'test', data_dir=data_dir)
  rule = evaluation.scoring_rule(model)
  scores = [
      out_of_distribution.score_examples(
          model, part, rule, seed=random.fold_in(4, i), noise_seed=4 * 1009 + i)
      for i, part in enumerate((
          split, evaluation.read_images(others, model)))]
  expected = out_of_distribution.compare_scores(model, *scores)
  for name, value in expected.items():
    np.testing.assert_allclose(
        report[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
  assert (report['in_num_examples'], report['out_num_examples'],
          report['num_repeats'], report['estimator'], report['rule']) == (
              360, 360, 1, 'exact', 'exact, as up to 64 dimensions')
  assert report['in_deviation_rms'] == report['noise_share'] == 0.0
  # Dark corners are what the first batch taught the flow.
  assert report['auroc'] > 0.9
  assert f'log p(x): AUROC {report["auroc"]:.4f} +- ' in result.stderr
  assert 'digits, test (in) is more often above that of inve' in result.stderr
  with np.load(output) as found:
    assert {name: found[name].shape for name in found.files} == {
        prefix + name: (360,) for prefix in ('', 'against_')
        for name in ('log_prob', 'log_prob_deviation', 'label')}
    for prefix, part in zip(('', 'against_'), scores, strict=True):
      np.testing.assert_allclose(
          found[f'{prefix}log_prob'], part.log_prob, rtol=1e-4, atol=1e-3)
      np.testing.assert_array_equal(
          found[f'{prefix}label'], split.arrays['label'])
  image = image_lib.imread(picture)
  assert report['picture'] == str(picture)
  assert min(image.shape[:2]) > 300
  assert len(np.unique(image.reshape([-1, image.shape[-1]]), axis=0)) > 10


def test_estimates_floats_and_the_picture_of_the_workdir(
    run_tool, workdir, tmp_path):
  """With all defaults but the estimator, twice."""
  np.savez(tmp_path / 'noise.npz', x=np.random.default_rng(0).uniform(
      size=[30, 8, 8, 1]))
  picture = workdir / 'against_noise.png'
  command = ['evaluate', f'--workdir={workdir}', '--num_examples=20',
             f'--against={tmp_path}/noise.npz', '--estimator=adaptive:0.3']
  try:
    first = _report(run_tool(*command))
    assert image_lib.imread(picture).shape[0] > 300
    written = picture.read_bytes()
    # Nothing is replaced unless that is wanted.
    result = run_tool(*command)
    assert result.status == 2 and picture.read_bytes() == written
    (line,) = result.stderr.splitlines()
    assert line.startswith(
        f'evaluate: error: --picture={picture}: expected a new file')
    second = _report(run_tool(*command, '--overwrite', '--batch_size=7'))
  finally:
    picture.unlink(missing_ok=True)
  assert first['picture'] == str(picture)
  assert (first['num_repeats'], first['in_num_examples'],
          first['out_num_examples']) == (16, 20, 20)
  assert first['estimator'] == (
      numerics.Estimator.get('adaptive:0.3').per_example().spec())
  assert 0.0 < first['in_deviation_rms'] < first['in_log_prob_std']
  assert 0.0 < first['noise_share'] < 1.0
  # The size of batches changes no draw.
  for name, value in first.items():
    if isinstance(value, float):
      np.testing.assert_allclose(
          second[name], value, rtol=1e-3, atol=1e-6, err_msg=name)


def test_a_data_set_against_itself(run_tool, workdir, tmp_path):
  """The same images with other noise: the score cannot tell them apart."""
  report = _report(run_tool(
      'evaluate', f'--workdir={workdir}', '--against=digits',
      f'--picture={tmp_path}/a.svg'))
  assert abs(report['auroc'] - 0.5) < 3 * report['auroc_stderr'] < 0.1
  assert report['auroc'] != 0.5


@pytest.mark.parametrize(('change', 'said'), [
    (['--against=mnist5k'], '--against=mnist5k: expected images (8, 8, 1) of '
     '17 levels, as those of the run. These are (28, 28, 1) of 256 levels,'),
    (['--against=cifar11'], '--against=cifar11: expected one of digits, mn'),
    (['--against=array:a.npz'], 'dataset=array:a.npz: expected an .npz file'),
    (['--against='], '--against=: expected the name of a data set or the path'),
    (['--against=/none.npz'], '--against=/none.npz: expected an .npz file'),
    (['--against={wrong}'], '--against={wrong}: expected an .npz file with an '
     'array x or image [n, 8, 8, 1], integers from 0 to 16 or dequantised flo'),
    (['--against={others}', '--picture=a.jpg'],
     '--picture=a.jpg: expected a name that ends in .png or .svg'),
    (['--picture=a.png'], '--picture=a.png: expected no such flag without --a'),
    (['--against={others}', '--inputs=x.npz'],
     '--inputs=x.npz: expected no such flag with --against.'),
    (['--against={others}', '--num_repeats=20'],
     '--num_repeats=20: expected no such number where nothing is drawn'),
    (['--against={others}', '--num_repeats=15', '--estimator=adaptive'],
     '--num_repeats=15: expected a number from 16.'),
    (['--against={others}', '--num_examples=361'],
     '--num_examples=361: expected at most 360.'),
    (['--against={others}', '--output={others}', '--overwrite'],
     '--output={others}: expected another file than that of --against.'),
])
def test_bad_input(run_tool, workdir, others, tmp_path, change, said):
  names = {'others': others, 'wrong': tmp_path / 'wrong.npz'}
  np.savez(names['wrong'], image=np.full([3, 8, 8, 1], 17))
  before = {path.name for path in workdir.iterdir()}
  result = run_tool('evaluate', f'--workdir={workdir}', *(
      argument.format(**names) for argument in change))
  assert (result.status, result.stdout) == (2, '')
  (line,) = result.stderr.splitlines()
  assert line.startswith(f'evaluate: error: {said.format(**names)}'), line
  assert {path.name for path in workdir.iterdir()} == before
