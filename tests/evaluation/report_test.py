"""The report of an evaluation agrees with its parts."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import splits
from tf_resflow import evaluation
from tf_resflow import models
from tf_resflow import numerics

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


@pytest.fixture(scope='module')
def flow():
  return flows.make_image_flow(16, is_steep=True)


def test_report_agrees_with_its_parts(split, flow):
  report, bits, bounds = evaluation.evaluate(
      flow, split, batch_size=4, seed=3, num_examples=8,
      num_reconstructions=6,
      estimator=numerics.Estimator.get('roulette:safe,exact=5'))
  assert set(report) == _KEYS
  assert json.loads(json.dumps(report)) == report

  expected = evaluation.nll(
      flow, split, batch_size=4, seed=3, num_examples=8,
      estimator=numerics.Estimator.get('roulette:safe,exact=5'))
  np.testing.assert_array_equal(bits, expected)
  means = bits.mean(axis=1)
  np.testing.assert_allclose(report['bits_per_dim'], bits.mean(), rtol=1e-12)
  np.testing.assert_allclose(
      report['estimator_stderr'], means.std(ddof=1) / np.sqrt(8), rtol=1e-10)
  np.testing.assert_allclose(
      report['bits_per_dim_stderr'],
      bits.mean(axis=0).std(ddof=1) / np.sqrt(8), rtol=1e-10)
  assert (report['num_repeats'], report['num_examples'],
          report['num_reconstructions']) == (8, 8, 6)

  inverse = evaluation.check_inverse(
      flow, split, batch_size=4, num_examples=6, seed=3)
  np.testing.assert_allclose(
      report['reconstruction_error_max'], inverse.reconstruction_error_max,
      rtol=1e-3)
  assert report['inverse_num_not_converged'] == 0

  assert [b.name for b in bounds] == ['block_0', 'block_1']
  assert report['lipschitz_bound_max'] == max(b.certificate for b in bounds)
  assert report['lipschitz_power_iteration_max'] == max(
      b.power_iteration for b in bounds)
  assert 0.5 < report['lipschitz_power_iteration_max']
  assert all(b.power_iteration <= b.certificate < 1.0 for b in bounds)


def test_without_certificates(split, flow):
  report, _, bounds = evaluation.evaluate(
      flow, split, certify=False)
  assert report['lipschitz_bound_max'] is None
  assert report['num_examples'] == report['num_reconstructions'] == 9
  table = evaluation.format_table(report, bounds)
  assert 'lipschitz_bound_max            not computed' in table
  assert table.count('uncertified') == 2


def test_uncertified_block_leaves_no_bound(split, flow, monkeypatch):
  """A maximum over some of the blocks would be a claim about all."""
  bounds = [models.BlockBound('a', 0.9, 0.5, 0.6, ('dft',)),
            models.BlockBound('b', 0.9, 0.7, None, ('uncertified',))]
  monkeypatch.setattr(
      flow, 'lipschitz_bounds', lambda certify: bounds, raising=False)
  report, _, _ = evaluation.evaluate(flow, split)
  assert report['lipschitz_bound_max'] is None
  assert report['lipschitz_power_iteration_max'] == 0.7


def test_format_table():
  table = evaluation.format_table(
      {'bits_per_dim': 2.0 / 3.0, 'num_examples': 360, 'nothing': None},
      [models.BlockBound('block_0', 0.98, 0.91234567, 0.95, ('dft', 'gram')),
       models.BlockBound('b', 0.5, None, None, ()), *(
           models.BlockBound('c', 0.5, 0.4, 0.4, ('closed',), order)
           for order in (np.inf, 2.345, np.nan, None))])
  lines = table.splitlines()
  assert lines[0] == 'bits_per_dim  0.666667'
  assert lines[1] == 'num_examples  360'
  assert lines[2] == 'nothing       not computed'
  assert [line.split() for line in lines[5:7]] == [
      ['block_0', '0.912346', '0.950000', 'l_2', 'dft,', 'gram'],
      ['b', 'unknown', 'uncertified', 'l_2']]
  assert [line.split()[3] for line in lines[7:]] == [
      'l_inf', 'l_2.35', 'none', 'any']


def test_a_table_has_the_numbers_of_reports_in_a_report():
  table = evaluation.format_table(
      {'split': 'test', 'runs': {'a/b': {'step': 3, 'bias': -0.25}}})
  assert table.splitlines() == [
      'split          test', 'runs.a/b.step  3', 'runs.a/b.bias  -0.25']


def test_hybrids_report_their_accuracy(split):
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=2,
      num_dense_blocks=0, num_classes=3, head_channels=4).build()
  model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]))
  labels = np.array([0, 0, 0, 1, 1, 2, 2, 2, 1], np.int32)
  labelled = splits.make_split(split.arrays['x'].numpy(), 16, labels)
  # A bias decides.
  for favourite, expected in enumerate((3 / 8, 2 / 8, 3 / 8)):
    model.classifier.dense.bias.assign(100.0 * tf.one_hot(favourite, 3))
    report, _, _ = evaluation.evaluate(
        model, labelled, batch_size=4, num_examples=8,
        certify=False)
    assert report['accuracy'] == expected
    # That of 8 zeros and ones.
    np.testing.assert_allclose(
        report['accuracy_stderr'], np.sqrt(expected * (1 - expected) / 7))
    assert set(report) == _KEYS | {
        'accuracy', 'accuracy_stderr', 'cross_entropy', 'cross_entropy_stderr'}


def test_a_flow_without_blocks(split):
  """No block, no bound: that is said, not that the bound is 0."""
  report, bits, bounds = evaluation.evaluate(
      flows.make_flow_without_blocks(), split, batch_size=4)
  assert set(report) == _KEYS
  assert json.loads(json.dumps(report)) == report
  assert bits.shape == (8, 9) and bounds == []
  assert report['lipschitz_bound_max'] is None
  assert report['lipschitz_power_iteration_max'] is None
  assert report['inverse_num_steps_max'] == 0
  assert 'not computed' in evaluation.format_table(report, bounds)


def test_estimates_say_by_how_much_they_were_exceeded(split):
  config = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=1, dense_hidden_units=4,
      norms=('inf', '1.5', '2', 'inf'))
  reports = {}
  for bound in ('upper', 'estimate'):
    model = dataclasses.replace(config, norm_bound=bound).build()
    model.initialize(tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]))
    for layer in model.constrained_layers:
      layer.kernel.assign(np.random.default_rng(1).normal(
          size=layer.kernel.shape))
    reports[bound], _, bounds = evaluation.evaluate(
        model, split, batch_size=4, num_examples=8)
    assert {b.order for b in bounds} == {np.inf}
  assert set(reports['upper']) == _KEYS
  assert reports['upper']['lipschitz_bound_max'] < 1.0
  excess = reports['estimate']['lipschitz_bound_exceeded_by_max']
  assert excess == max(
      b.power_iteration / b.lipschitz_bound for b in bounds) - 1.0
  assert 1e-3 < excess < 0.5


@pytest.mark.slow
def test_reports_say_where_bits_are_a_bound(split):
  model = models.ResidualFlowConfig(
      image_shape=(4, 4, 1), num_levels=16, num_blocks=(1,), hidden_channels=4,
      num_dense_blocks=0, num_classes=2, head_channels=4,
      noise_channels=2, noise_law='gaussian').build()
  model.initialize(
      tf.random.stateless_uniform([8, 4, 4, 1], [0, 1]), seed=0)
  report, bits, _ = evaluation.evaluate(
      model, split, batch_size=4, certify=False)
  again, same_bits, _ = evaluation.evaluate(
      model, split, batch_size=4, certify=False)
  assert set(report) == _KEYS | {
      'accuracy', 'accuracy_stderr', 'cross_entropy', 'cross_entropy_stderr',
      'bits_per_dim_is'}
  assert report['bits_per_dim_is'].startswith('an upper bound')
  assert 'an upper bound' in evaluation.format_table(report)
  assert report == again
  np.testing.assert_array_equal(bits, same_bits)
  assert report['reconstruction_error_max'] < 1e-4
  assert report['inverse_num_not_converged'] == 0


def _make_flow(estimator):
  """A flow of one block; its weights depend on no estimator."""
  return flows.make_image_flow(
      16, num_dense_blocks=0, is_steep=True, estimator=estimator)


def test_validations_agree_with_evaluations(split):
  unbiased = evaluation.Validation(_make_flow('roulette'))(split)
  flow = _make_flow('fixed:1')
  row = evaluation.Validation(flow)(split)
  # The weights are equal, and so is what is unbiased.
  assert unbiased.items() <= row.items()
  bits = evaluation.nll(flow, split)
  summary = evaluation.statistics.summarize_repeats(bits)
  assert unbiased == {
      'validation_bits_per_dim': bits.mean(),
      'validation_bits_per_dim_stderr': summary.stderr,
      'validation_estimator_stderr': summary.estimator_stderr}
  own = evaluation.nll(flow, split, own_estimator=True)
  difference = evaluation.statistics.summarize_repeats(own - bits)
  assert row['validation_biased_bits_per_dim'] == pytest.approx(own.mean())
  assert row['validation_bias'] == difference.mean
  assert row['validation_bias_stderr'] == difference.total_stderr
  assert len(row) == 6


def test_validations_of_a_hybrid_model():
  labelled = splits.make_split(
      np.random.default_rng(0).integers(0, 16, [7, 4, 4, 1]).astype(np.uint8),
      16, np.arange(7, dtype=np.int32) % 3)
  model = flows.make_hybrid_flow(16)
  row = evaluation.Validation(model)(labelled)
  for name, value in evaluation.Classification(model)(labelled).items():
    assert row[f'validation_{name}'] == value.mean


def test_validations_take_the_weights_of_the_call(split):
  """Its graphs are those of the first call, its numbers are not."""
  flow = _make_flow('fixed:1')
  validation = evaluation.Validation(flow)
  first = validation(split)
  assert validation(split) == first
  for layer in flow.constrained_layers:
    layer.kernel.assign(0.3 * layer.kernel.value)
  flow.save_norms()
  second = validation(split)
  assert abs(second['validation_bits_per_dim'] - first[
      'validation_bits_per_dim']) > 1e-4
  assert second == evaluation.Validation(flow)(split)
