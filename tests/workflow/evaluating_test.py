"""A part of a run is evaluated as its data and its flow are."""

import numpy as np
import pytest

from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import workflow
from tf_resflow.evaluation import bayes


def test_a_part_is_evaluated(table_workdir):
  flow = workflow.load(table_workdir)
  found = workflow.evaluate(flow, 'validation', num_examples=10, certify=False)
  expected = evaluation.evaluate(
      flow, flow.run.config.open_split('validation'),
      num_examples=10, certify=False)
  assert found.report() == expected.report() | {
      'split': 'validation', 'step': 0, 'num_devices': 1, 'dtype': 'float32'}
  np.testing.assert_array_equal(found.arrays['nats'], expected.arrays['nats'])


@pytest.mark.slow
def test_accuracy_by_bayes_rule(labelled_workdir, data_dir):
  """By default where it takes one draw."""
  flow = workflow.load(labelled_workdir)
  settings = {'num_examples': 12, 'seed': 3}
  results = workflow.evaluate(flow, batch_size=5, certify=False, **settings)
  assert results.arrays.keys() == {
      'bits_per_dim', 'log_prob', 'log_prob_stderr', 'label',
      'class_log_prob', 'class_log_density', 'class_log_density_stderr'}
  digits = datasets.open_split('digits', 'train', data_dir=data_dir)
  counts = np.bincount(digits.arrays['label'], minlength=10)
  scores = bayes.classify(
      flow, flow.run.open('test'), np.log(counts / counts.sum()), **settings)
  np.testing.assert_allclose(
      results.arrays['class_log_prob'], scores.arrays['class_log_prob'],
      atol=1e-3)
  assert results.report()['accuracy'] == scores.report()['accuracy']
  assert results.report()['class_score_estimator'] == 'exact'
  assert 'accuracy_is' not in workflow.evaluate(
      flow, num_examples=2, certify=False, classify=False).report()
