"""The report of an evaluation agrees with its parts."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats
import tensorflow as tf

from tests import flows
from tests import schemas
from tests import splits
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow.columns import column_checks
from tf_resflow.evaluation import report as report_lib

_KEYS = {
    'estimator',
    'bits_per_dim', 'bits_per_dim_stderr', 'estimator_stderr', 'num_examples',
    'num_repeats', 'num_probes', 'reconstruction_error_max',
    'inverse_residual_max', 'inverse_num_steps_max',
    'inverse_num_not_converged',
    'num_reconstructions', 'lipschitz_bound_max',
    'lipschitz_power_iteration_max'}


@pytest.fixture(scope='module')
def split():
  return splits.random_split(9, 16)


def test_report_agrees_with_its_parts(split):
  flow = flows.make_image_flow(16, num_dense_blocks=0, is_steep=True)
  results = evaluation.evaluate(
      flow, split, batch_size=4, seed=3, num_examples=8,
      num_reconstructions=6,
      estimator='roulette:safe,exact=5')
  report, bits = results.report(), results.arrays['bits_per_dim']
  assert set(report) == _KEYS
  assert json.loads(json.dumps(report)) == report

  expected = evaluation.nll(
      flow, split, batch_size=4, seed=3, num_examples=8,
      estimator='roulette:safe,exact=5')
  np.testing.assert_array_equal(bits, expected)
  summary = evaluation.statistics.summarize_repeats(bits)
  numbers = {
      **summary.report('bits_per_dim'), 'num_repeats': 8, 'num_examples': 8,
      'estimator_stderr': summary.estimator_stderr}
  assert {name: report[name] for name in numbers} == pytest.approx(
      numbers, rel=1e-9)
  assert report['num_reconstructions'] == 6

  inverse = evaluation.check_inverse(
      flow, split, batch_size=4, num_examples=6, seed=3)
  np.testing.assert_allclose(
      report['reconstruction_error_max'], inverse['reconstruction_error_max'],
      rtol=1e-3)
  assert report['inverse_num_not_converged'] == 0

  (bound,) = results.bounds
  assert bound.name == 'block_0'
  assert report['lipschitz_bound_max'] == bound.certificate < 1.0
  assert report['lipschitz_power_iteration_max'] == bound.power_iteration
  assert 0.5 < bound.power_iteration <= bound.certificate


def test_bounds_of_several_blocks(split, monkeypatch):
  """A maximum over some of the blocks would be a claim about all."""
  flow = flows.make_flow_without_blocks()
  results = evaluation.evaluate_inputs(flow, np.full([2, 4, 4, 1], 0.5))
  for certificate, expected in ((0.8, 0.8), (0.5, 0.6), (None, None)):
    bounds = [models.LipschitzReport('a', 0.9, 0.5, 0.6, ('dft',)),
              models.LipschitzReport('b', 0.9, 0.7, certificate, ('gram',))]
    monkeypatch.setattr(
        flow, 'lipschitz_bounds', lambda certify, bounds=bounds: bounds,
        raising=False)
    report = report_lib.report_inputs(
        flow, np.full([2, 4, 4, 1], 0.5), results).report()
    assert report['lipschitz_bound_max'] == expected
    assert report['lipschitz_power_iteration_max'] == 0.7


def test_arrays_of_the_examples_of_a_split(split):
  """Log p(x) and its error belong to the bits/dim; labels and classes."""
  hybrid = flows.make_hybrid_flow(16, num_dense_blocks=0)
  # A bias decides, for the class of 2 of the first 7.
  hybrid.classifier.dense.bias.assign([0.0, 100.0, 0.0])
  labelled = splits.make_split(
      split.arrays['x'].numpy(), 16, np.arange(9, dtype=np.int32) % 3)
  results = evaluation.evaluate(
      hybrid, labelled, num_examples=7, batch_size=4, seed=2, certify=False)
  report, arrays = results.report(), results.arrays
  assert report['num_examples'] == report['num_reconstructions'] == 7
  assert report['accuracy'] == pytest.approx(2 / 7)
  # That of 7 zeros and ones.
  np.testing.assert_allclose(
      report['accuracy_stderr'], np.sqrt(2 / 7 * 5 / 7 / 6))
  assert set(report) == _KEYS | {
      'accuracy', 'accuracy_stderr', 'cross_entropy', 'cross_entropy_stderr'}
  # Nor is anything certified that nobody asked for.
  assert report['lipschitz_bound_max'] is None
  bits = arrays['bits_per_dim']
  assert bits.shape == (8, 7)
  np.testing.assert_allclose(
      hybrid.bits_per_dim_of(arrays['log_prob']), bits.mean(axis=0),
      rtol=1e-12)
  np.testing.assert_allclose(
      arrays['log_prob_stderr'],
      16 * np.log(2) * stats.sem(bits, axis=0), rtol=1e-9)
  np.testing.assert_array_equal(arrays['label'], np.arange(7) % 3)
  (batch,) = datasets.evaluation_batches(labelled, batch_size=9, seed=2)
  np.testing.assert_allclose(
      arrays['class_log_prob'],
      tf.nn.log_softmax(hybrid.classify(batch['x'][:7])), atol=1e-5)
  # Neither labels nor a classifier.
  unknown = splits.make_split(
      np.zeros([3, 4, 4, 1], np.uint8), 16, np.full([3], -1, np.int32))
  assert evaluation.evaluate(
      flows.make_flow_without_blocks(), unknown).arrays.keys() == {
          'bits_per_dim', 'log_prob', 'log_prob_stderr'}


def test_a_flow_without_blocks(split):
  """No block, no bound: that is said, not that the bound is 0."""
  flow = flows.make_flow_without_blocks()
  results = evaluation.evaluate(flow, split, batch_size=4)
  report = results.report()
  assert set(report) == _KEYS
  assert json.loads(json.dumps(report)) == report
  assert results.arrays['bits_per_dim'].shape == (8, 9)
  assert not results.bounds
  assert report['lipschitz_bound_max'] is None
  assert report['lipschitz_power_iteration_max'] is None
  assert report['inverse_num_steps_max'] == 0
  # Nor has what is unbiased a bias.
  assert set(report_lib.Validation(flow)(split)) == {
      'validation_bits_per_dim', 'validation_bits_per_dim_stderr',
      'validation_estimator_stderr'}


def test_estimates_say_by_how_much_they_were_exceeded():
  model = models.VectorFlowConfig(
      event_size=3, num_blocks=1, hidden_units=(8, 8), act_norm=False,
      norms=('inf', '1.5', '2', 'inf'), norm_bound='estimate').build()
  for layer in model.constrained_layers:
    layer.kernel.assign(np.random.default_rng(9).normal(
        size=layer.kernel.shape))
  x = np.random.default_rng(0).normal(size=[5, 3])
  results = report_lib.report_inputs(model, x, {
      'nats': np.arange(5.0), 'log_det_repeats': np.zeros([1, 5])})
  (bound,), report = results.bounds, results.report()
  excess = report['lipschitz_bound_exceeded_by_max']
  assert bound.order == np.inf
  assert excess == bound.power_iteration / bound.lipschitz_bound - 1.0
  assert 1e-3 < excess < 0.5


@pytest.mark.slow
def test_validations_agree_with_evaluations():
  split = splits.make_split(
      np.random.default_rng(0).integers(0, 16, [7, 4, 4, 1]).astype(np.uint8),
      16, np.arange(7, dtype=np.int32) % 3)
  flow = flows.make_hybrid_flow(
      16, num_dense_blocks=0, is_steep=True, estimator='fixed:1')
  validation = report_lib.Validation(flow)
  row = validation(split)
  bits = evaluation.nll(flow, split)
  summary = evaluation.statistics.summarize_repeats(bits)
  own = evaluation.nll(flow, split, estimator='training')
  difference = evaluation.statistics.summarize_repeats(own - bits)
  classes = evaluation.evaluate(flow, split, certify=False).report()
  assert row == pytest.approx({
      'validation_bits_per_dim': bits.mean(),
      'validation_bits_per_dim_stderr': summary.stderr,
      'validation_estimator_stderr': summary.estimator_stderr,
      'validation_biased_bits_per_dim': own.mean(),
      'validation_bias': difference.mean,
      'validation_bias_stderr': difference.total_stderr,
      'validation_accuracy': classes['accuracy'],
      'validation_cross_entropy': classes['cross_entropy']}, rel=1e-5)
  training = evaluation.evaluate(
      flow, split, estimator='training', certify=False).report()
  assert training['estimator'] == 'training'
  assert training['bits_per_dim'] == pytest.approx(own.mean(), rel=1e-9)
  # Its graphs are those of the first call, its weights those of every call.
  assert validation(split) == row
  for layer in flow.constrained_layers:
    layer.kernel.assign(0.3 * layer.kernel.value)
  flow.save_norms()
  changed = validation(split)
  for name in row:
    assert changed[name] != row[name] or name == 'validation_accuracy'


def test_rows_without_a_density_are_counted_and_named(caplog):
  flow = models.VectorFlowConfig(
      event_size=2, num_blocks=1, hidden_units=(4,),
      schema=schemas.make_schema(
          'a', 'b', types=('log', 'integer'), mean=(0.0, 1.0), std=(1.0, 1.0))
  ).build()
  rng = np.random.default_rng(0)
  x = np.stack([rng.lognormal(size=12), rng.poisson(3.0, 12)], axis=1)
  flow.initialize(x, seed=0)
  x[2, 0], x[7, 1], x[9, 1] = -1.5, -2.0, 2.0
  whole = np.delete(x, [2, 7], axis=0)

  def report_of(x):
    return evaluation.evaluate(
        flow, splits.make_split(x.astype('f4'), None), certify=False).report()

  expected = report_of(whole)
  assert not caplog.records and 'num_without_density' not in expected
  assert '-log of the mean of p over 16 points' in expected['nats_is']
  x[9, 1] = 2.5  # Stands for 2.
  report = report_of(x)
  assert ('a is not above 0 in row 3 (-1.5); b is not an integer >= 0 in row '
          '8 (-2).') in caplog.text
  column_checks.rows_with_density(
      x, flow.schema.types, index=pd.RangeIndex(2, 14, name='line'))
  assert 'x0 is not above 0 in line 4 (-1.5); x1' in caplog.text
  assert report['num_without_density'] == 2
  for key in ('nats', 'nats_stderr', 'num_examples'):
    assert report[key] == pytest.approx(expected[key], rel=1e-6)
  results = evaluation.evaluate_inputs(flow, x)
  assert np.flatnonzero(np.isneginf(results['log_prob'])).tolist() == [2, 7]
  found = report_lib.report_inputs(flow, x, results, certify=False)
  assert found.report()['nats'] == pytest.approx(expected['nats'], rel=1e-5)
  assert np.flatnonzero(found.arrays['off_grid']).tolist() == [9]
