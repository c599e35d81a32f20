"""The bias of an estimator against traces and determinants of the Jacobian."""

import numpy as np
import pytest
import tensorflow as tf

from tests import flows
from tests import splits
from tests import testing
from tf_resflow import datasets
from tf_resflow import evaluation
from tf_resflow import numerics

_NUM_LEVELS = 16
_NUM_REPEATS = 24


@pytest.fixture(scope='module')
def split():
  return splits.random_split(9, _NUM_LEVELS)


def _make_flow(estimator):
  """A flow of one block, whose Jacobian is large."""
  return flows.make_image_flow(
      _NUM_LEVELS, num_dense_blocks=0, is_steep=True, estimator=estimator)


def _jacobians(flow, x):
  """Those of `g` of its one block, `[B, D, D]`, float64."""
  for part in flow.bijection.elementary():
    if part.has_certificate:
      return np.float64(testing.full_jacobian(
          tf.function(part.g, autograph=False), x))
    x = part(x)


def test_bias_of_the_first_term(split):
  """In nats `tr J - log det(I + J)`, at the noise of every repeat."""
  flow = _make_flow('fixed:1')
  found = evaluation.measure_bias(
      flow, split, estimator=numerics.Exact(), num_repeats=_NUM_REPEATS,
      seed=2, batch_size=5)
  images = tf.concat([
      batch['image'] for repeat in range(_NUM_REPEATS)
      for batch in datasets.evaluation_batches(
          split, batch_size=9, seed=2 * 1009 + repeat)], axis=0)
  jacobians = _jacobians(flow, images)
  traces = np.trace(jacobians, axis1=1, axis2=2)
  log_dets = np.linalg.slogdet(np.eye(16) + jacobians)[1]
  expected = np.mean(log_dets - traces) / 16 / np.log(2)
  difference = found.difference
  assert abs(difference.mean - expected) < 4 * difference.estimator_stderr
  # Which tells it from none.
  assert abs(expected) > 8 * difference.estimator_stderr
  assert difference.mean == pytest.approx(
      found.own.mean - found.unbiased.mean, rel=1e-9)
  assert (difference.num_examples, difference.num_repeats) == (
      9, _NUM_REPEATS)


def test_an_unbiased_estimator_has_no_bias(split):
  found = evaluation.measure_bias(
      _make_flow('roulette:safe'), split, estimator=numerics.Exact(),
      num_repeats=_NUM_REPEATS)
  assert abs(found.num_stderrs) < 4
  assert found.difference.estimator_stderr > 0
  same = evaluation.measure_bias(
      _make_flow('exact'), split, estimator=numerics.Exact())
  assert same.num_stderrs == same.difference.mean == 0.0


def test_report(split):
  found = evaluation.measure_bias(_make_flow('fixed:1'), split)
  report = found.report()
  assert report['bias'] == pytest.approx(
      report['own_bits_per_dim'] - report['bits_per_dim'])
  assert report['bias_stderr'] == found.difference.total_stderr > 0
  assert report['bias_num_stderrs'] == pytest.approx(
      report['bias'] / report['bias_stderr'])


def test_what_a_run_logs(split):
  unbiased = evaluation.validate(_make_flow('roulette'), split)
  flow = _make_flow('fixed:1')
  row = evaluation.validate(flow, split)
  # The weights are equal, and so is what is unbiased.
  assert unbiased.items() <= row.items()
  bits = evaluation.bits_per_dim(flow, split)
  summary = evaluation.statistics.summarize_repeats(bits)
  assert unbiased == {
      'validation_bits_per_dim': bits.mean(),
      'validation_bits_per_dim_stderr': summary.stderr,
      'validation_estimator_stderr': summary.estimator_stderr}
  found = evaluation.measure_bias(flow, split)
  assert row['validation_biased_bits_per_dim'] == pytest.approx(found.own.mean)
  assert row['validation_bias'] == found.difference.mean
  assert row['validation_bias_stderr'] == found.difference.total_stderr
  assert len(row) == 6
