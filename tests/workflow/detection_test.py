"""Scores of both data are those of the parts, compared."""

import numpy as np

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import workflow
from tf_resflow.evaluation import out_of_distribution
from tf_resflow.numerics import random


def test_inverted_digits(digits_workdir, data_dir, tmp_path):
  flow = workflow.load(digits_workdir)
  split = datasets.open_split('digits', 'test', data_dir=data_dir)
  path = tmp_path / 'inverted.npz'
  np.savez(path, image=16 - split.arrays['x'].numpy(),
           label=split.arrays['label'])
  results = workflow.detect(
      flow, path, seed=4, num_examples=120, batch_size=50)
  scores = [
      out_of_distribution.score_examples(
          flow, part, seed=random.fold_in(4, i), noise_seed=4 * 1009 + i,
          num_examples=120)
      for i, part in enumerate((
          split, evaluation.example_files.read_images(path, flow)))]
  report = results.report()
  for name, value in out_of_distribution.compare_scores(flow, *scores).items():
    np.testing.assert_allclose(
        report[name], value, rtol=1e-4, atol=1e-4, err_msg=name)
  for prefix, part in zip(('', 'ood_'), scores, strict=True):
    np.testing.assert_allclose(
        results.arrays[f'{prefix}log_prob'], part.log_prob, rtol=1e-4,
        atol=1e-3)
  assert (report['num_repeats'], report['estimator'], report['rule']) == (
      1, 'exact', 'exact: at most 64 dimensions')
  assert report['picture'] is None
  assert results.notes[0].startswith(
      f'log p(x): AUROC {report["auroc"]:.4f} +- ')
