"""A part of a run is evaluated as its data and its flow are."""

import numpy as np

from tf_resflow import evaluation
from tf_resflow import workflow


def test_a_part_is_evaluated(table_workdir):
  flow = workflow.load(table_workdir)
  found = workflow.evaluate(flow, 'validation', num_examples=10, certify=False)
  expected = evaluation.evaluate(
      flow, flow.run.config.open_split('validation'),
      num_examples=10, certify=False)
  assert found.report() == expected.report() | {
      'split': 'validation', 'step': 0, 'num_devices': 1, 'dtype': 'float32'}
  np.testing.assert_array_equal(found.arrays['nats'], expected.arrays['nats'])


def test_flows_of_labels_classify_unless_they_are_not_to(labelled_workdir):
  flow = workflow.load(labelled_workdir)
  for classify in (None, False):
    report = workflow.evaluate(
        flow, num_examples=2, certify=False, classify=classify).report()
    assert ('accuracy_is' in report) == (classify is None)
