"""bin/ood: scores of digits beside those of other images."""

import shutil

from matplotlib import image as image_lib
import numpy as np
import pytest

from tests.commands import results
from tests.training import runs
from tf_resflow import datasets
from tf_resflow import numerics


@pytest.fixture(scope='module')
def others(data_dir, tmp_path_factory):
  """Inverted digits, which have the same shape and levels."""
  split = datasets.open_split('digits', 'test', data_dir=data_dir)
  path = tmp_path_factory.mktemp('others') / 'inverted.npz'
  np.savez(path, image=16 - split.arrays['x'].numpy(),
           label=split.arrays['label'])
  return path


def test_bad_input(
    run_tool, digits_workdir, labelled_workdir, table_workdir, others):
  """Said before all the work, and nothing is written."""
  folders = digits_workdir, labelled_workdir, others.parent
  before = [runs.contents(folder) for folder in folders]
  given = f'--ood_dataset={others}'
  results.check_errors(run_tool, 'ood', [
      ([f'--workdir={labelled_workdir}', given],
       '--ood_dataset cannot be used with a flow p(x|c). Other'),
      ([f'--workdir={table_workdir}', given],
       '--ood_dataset cannot be used with vectors'),
      (['--ood_dataset=mnist5k'],
       '--ood_dataset=mnist5k: expected images (8, 8, 1) of'),
      (['--ood_dataset=2d/moons'], '--ood_dataset=2d/moons: expected a data s'),
      ([given, '--num_examples=361'], '--num_examples=361: expected at most '
       '360. That many examples are in '),
  ], f'--workdir={digits_workdir}')
  assert [runs.contents(folder) for folder in folders] == before


def test_estimates_floats_and_the_picture_of_the_workdir(
    run_tool, digits_workdir, tmp_path):
  """With all defaults but the estimator and the output, twice."""
  workdir = shutil.copytree(digits_workdir, tmp_path / 'run')
  np.savez(tmp_path / 'noise.npz', x=np.random.default_rng(0).uniform(
      size=[30, 8, 8, 1]))
  picture = workdir / 'ood_noise.png'
  command = ['ood', f'--workdir={workdir}', '--num_examples=20',
             f'--ood_dataset={tmp_path}/noise.npz', '--estimator=adaptive:0.3',
             f'--output={tmp_path}/scores.npz']
  result = run_tool(*command)
  report = results.report(result)
  assert f'log p(x): AUROC {report["auroc"]:.4f} +- ' in result.stderr
  assert results.arrays(tmp_path / 'scores.npz').keys() == {
      'log_prob', 'log_prob_stderr', 'label', 'ood_log_prob',
      'ood_log_prob_stderr'}
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
      run_tool(*command[:-1]),
      f'ood: error: --picture={picture}: expected a new file')
  assert picture.read_bytes() == written
